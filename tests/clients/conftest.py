"""A live server, met directly and through proxies, and the programs that clients run in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import proxies
from tests.live import Live
from tests.proxies import Front
from tests.raw import Client
from tests.tusjs import Node, installed


@pytest.fixture(scope="session")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two web processes that believe one proxy."""
    data_dir = tmp_path_factory.mktemp("behind") / "data"
    with Live(data_dir, workers=2, trust_proxy=1) as server:
        yield server


@pytest.fixture(scope="session")
def nginx(behind: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx as deploy/nginx.conf has it."""
    with proxies.nginx(behind, tmp_path_factory.mktemp("nginx")) as front:
        yield front


@pytest.fixture(scope="session")
def caddy(behind: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Caddy as deploy/Caddyfile has it."""
    with proxies.caddy(behind, tmp_path_factory.mktemp("caddy")) as front:
        yield front


@pytest.fixture(scope="session", params=["direct", "nginx", "caddy"])
def front(behind: Live, request: pytest.FixtureRequest) -> Front:
    """The way from a client to the server; every test that asks for it runs on all three."""
    if request.param == "direct":
        return proxies.direct(behind)
    found: Front = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(front: Front) -> Client:
    """Alice, by hand."""
    return Client(front)


@pytest.fixture(scope="session")
def node() -> Node:
    """tus-js-client in Node."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed; Debian's packages are nodejs and npm.")
    return Node(Path(program), installed())
