"""Servers for the tests that need a real one; those that fit many tests are shared by them."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.chromium import chromium
from tests.live import Live
from tests.raw import Client

Start = Callable[..., Live]


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The whole program: tokens, two web processes, and the worker."""
    data_dir = tmp_path_factory.mktemp("live") / "data"
    with Live(data_dir, worker=True, workers=2, durability="finish") as server:
        yield server


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One web process without a worker: finished uploads stay where they are."""
    with Live(tmp_path_factory.mktemp("web") / "data", workers=1) as server:
        yield server


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One web process that waits one second for a client's next byte."""
    data_dir = tmp_path_factory.mktemp("impatient") / "data"
    with Live(data_dir, workers=1, network_timeout_seconds=1) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; Playwright allows one of itself in a thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with settings of the test's own, and stops them behind it."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(data_dir: Path | None = None, **settings: object) -> Live:
            folder = data_dir or tmp_path / f"data{next(numbers)}"
            return stack.enter_context(Live(folder, **settings))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def client(web: Live) -> Client:
    """Alice, at the server without a worker."""
    return Client(web)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots` lets the browser tests write the pictures of the docs anew."""
    parser.addoption("--screenshots", action="store_true", help="write docs/images/*.png anew")
