"""Uploads through a network that fails in every way end byte-exact, and no offset is a lie."""

import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from requests.exceptions import RequestException
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.live import Live
from tests.raw import Client, jpeg_bytes
from tests.services import wait_until
from tests.survival.persistent import Line, Persistent, path_of
from tests.survival.proxy import Fault, Kind, Proxy, script

SIZE = 400_000
# Longer than any answer takes, shorter than the server's own patience.
PATIENCE_SECONDS = 2.0


class Impatient(Persistent):
    """Takes a silent connection for a dead one after two seconds, as phones do."""

    def wire(self, *, seconds: float = PATIENCE_SECONDS) -> Line:
        return super().wire(seconds=seconds)


@dataclass
class Through:
    """The server as it is seen through a proxy."""

    proxy: Proxy
    live: Live

    @property
    def host(self) -> str:
        return self.proxy.host

    @property
    def port(self) -> int:
        return self.proxy.port

    def token(self, user: str = "alice") -> str:
        return self.live.token(user)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("faults") / "data", workers=2, durability="finish") as live:
        yield live


def address(live: Live) -> tuple[str, int]:
    return live.host, live.port


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("kind", ["pass", "throttle", "fin", "reset", "stall"])
def test_every_fault(server: Live, kind: Kind, checksums: bool) -> None:
    content = jpeg_bytes(SIZE, seed=1)
    # The second connection is the first PATCH; the next ones fail nearer to its end.
    faults = [Fault(), *(Fault(kind, after, 500_000) for after in (90_000, 900, 60_000, 0))]
    with Proxy(lambda: address(server), faults) as proxy:
        client = Impatient(Through(proxy, server), random.Random(1))
        path = path_of(client.create_surely(("Upload-Length", str(SIZE))))
        client.append_surely(path, content, chunk=150_000, checksums=checksums)
        assert (client.breaks > 0) == (kind in ("fin", "reset", "stall"))
    assert Client(server).download(path) == content


@pytest.mark.parametrize("seed", range(4))
def test_any_faults(server: Live, seed: int) -> None:
    content = jpeg_bytes(SIZE, seed)
    with Proxy(lambda: address(server), script(seed, 14, 120_000)) as proxy:
        client = Impatient(Through(proxy, server), random.Random(seed))
        path = path_of(client.create_surely(("Upload-Defer-Length", "1")))
        client.append_surely(
            path, content, chunk=100_000, checksums=seed % 2 == 0, tell_length=True
        )
        assert proxy.connections > 5
    assert Client(server).download(path) == content


@pytest.mark.parametrize("kind", ["fin", "reset"])
def test_the_offset_behind_a_break_is_what_went_through(server: Live, kind: Kind) -> None:
    """Every byte that reached the server before the break counts, and not one more."""
    client, content = Client(server), jpeg_bytes(SIZE)
    path = client.create(SIZE)
    head = client.patch_head(path, 0, SIZE)
    with Proxy(lambda: address(server), [Fault(kind, len(head) + 123_457)]) as proxy:
        wire = Client(Through(proxy, server)).wire()
        wire.send_until_refused([head, *(content[at : at + 8192] for at in range(0, SIZE, 8192))])
        assert wire.ended()
        wire.close()
    offset = client.offset(path)
    if kind == "fin":
        wait_until(lambda: client.offset(path) == 123_457, "The offset of all that went through", 5)
    else:
        # A reset may overtake bytes that the server has not read yet.
        assert offset <= 123_457
    assert client.patch(path, client.offset(path), content[client.offset(path) :]).status == 204
    assert client.download(path) == content


def test_a_stalled_connection_is_taken_over(server: Live) -> None:
    client, content = Client(server), jpeg_bytes(SIZE)
    path = client.create(SIZE)
    head = client.patch_head(path, 0, SIZE)
    with Proxy(lambda: address(server), [Fault("stall", len(head) + 50_000)]) as proxy:
        wire = Client(Through(proxy, server)).wire()
        wire.send(head + content[:60_000])
        wait_until(lambda: client.offset(path) == 50_000, "The arrival of what goes through", 10)
        started = time.monotonic()
        assert client.patch(path, 50_000, content[50_000:]).status == 204
        assert time.monotonic() - started < 2.0
        wire.close()
    assert client.download(path) == content


@pytest.mark.parametrize("seed", [11, 12])
def test_tuspy(server: Live, seed: int, tmp_path: Path) -> None:
    content = jpeg_bytes(SIZE, seed)
    path = Client(server).create(SIZE)
    # tuspy has no timeout of its own, so nothing stalls here.
    faults = [fault for fault in script(seed, 30, 100_000) if fault.kind != "stall"]
    headers = {"Authorization": f"Bearer {server.token()}"}
    with Proxy(lambda: address(server), faults) as proxy:
        base = f"http://{proxy.host}:{proxy.port}"
        give_up = time.monotonic() + 60
        offset = 0
        while offset < SIZE and time.monotonic() < give_up:
            try:
                uploader = TusClient(f"{base}/files/", headers=headers).uploader(
                    file_stream=io.BytesIO(content), url=base + path, chunk_size=150_000
                )
                assert uploader.offset >= offset
                offset = uploader.offset
                uploader.upload()
                offset = uploader.offset
            except (TusCommunicationError, RequestException, OSError):
                continue
    assert Client(server).download(path) == content
