"""Streams of events over the wire: across processes, through a stop, and many at once."""

import http.client
import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests import media
from tests.conftest import Start
from tests.live import Live, make_token
from tests.raw import Client, request_head
from tests.services import redis_server, wait_until

SECONDS = 60.0
LISTENERS = 500
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Stream:
    """A client of server-sent events."""

    def __init__(self, server: Live, path: str, user: str = "alice", **headers: str) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)
        token = {"Authorization": f"Bearer {make_token(user)}"}
        self._connection.request("GET", path, headers=token | headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Names and data, until the server ends the stream."""
        name = ""
        for line in self._response:
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            if line.startswith(b"data: "):
                yield name, json.loads(line[6:])

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def until(stream: Iterator[tuple[str, dict[str, Any]]], **wanted: object) -> dict[str, Any]:
    """The first event's data that has these values."""
    for _, data in stream:
        if all(data.get(name) == value for name, value in wanted.items()):
            return data
    raise AssertionError(f"The stream ended without {wanted}.")


@pytest.mark.parametrize("with_redis", [False, True])
def test_an_upload_is_followed_from_another_process(
    start_server: Start, tmp_path: Path, with_redis: bool
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(redis_server()) if with_redis else ""
        settings: dict[str, object] = {"workers": 1, "redis_url": url}
        here = start_server(tmp_path / "data", **settings)
        there = start_server(tmp_path / "data", worker=True, **settings)
        content = media.make_jpeg(tmp_path / "a.jpg").read_bytes()
        alice, half = Client(there), len(content) // 2
        path = alice.create(len(content), filename="a.jpg", post_id="p1")
        address = f"/api/v1/media/upload/{path.rpartition('/')[2]}/events"
        stream = stack.enter_context(Stream(here, address))
        events = iter(stream)
        assert next(events)[1]["offset"] == 0
        alice.patch(path, 0, content[:half])
        assert until(events, state="uploading", offset=half)["length"] == len(content)
        alice.patch(path, half, content[half:])
        end = until(events, final=True)
        assert (end["state"], end["medium"]["width"]) == ("registered", 400)
        assert list(events) == []


def test_my_media_are_followed_from_another_process(start_server: Start, tmp_path: Path) -> None:
    here = start_server(tmp_path / "data", workers=1)
    there = start_server(tmp_path / "data", workers=1, worker=True)
    content = media.make_png(tmp_path / "a.png").read_bytes()
    with Stream(here, "/api/v1/media/events") as stream:
        events = iter(stream)
        assert next(events)[0] == "reset"
        for user in ("bob", "alice"):
            client = Client(there, user)
            client.patch(client.create(len(content), filename=f"{user}.png"), 0, content)
        assert until(events, status="ready")["file_name"] == "alice.png"


def test_a_stop_ends_every_stream_at_once(start_server: Start) -> None:
    server = start_server(workers=1)
    path = Client(server).create(100)
    address = f"/api/v1/media/upload/{path.rpartition('/')[2]}/events"
    with Stream(server, address) as one, Stream(server, "/api/v1/media/events") as all_media:
        assert next(iter(one))[0] == "progress"
        assert next(iter(all_media))[0] == "reset"
        assert server.stop() < 5
        assert [*one, *all_media] == []


@pytest.mark.slow
def test_five_hundred_listeners_cost_little(start_server: Start) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = start_server(workers=1)
    [pid] = server.web_pids()
    uploads = [Client(server).create(100).rpartition("/")[2] for _ in range(20)]
    paths = [f"/api/v1/media/upload/{upload}/events" for upload in uploads]
    before = _resident_kib(pid)
    with ExitStack() as stack:
        for number in range(LISTENERS):
            path = paths[number % len(paths)] if number % 2 else "/api/v1/media/events"
            connection = stack.enter_context(socket.create_connection((server.host, server.port)))
            connection.settimeout(SECONDS)
            fields = [("Host", "test"), ("Authorization", f"Bearer {make_token('alice')}")]
            connection.sendall(request_head("GET", path, fields))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        wait_until(lambda: _cpu_share(pid, 1) < 0.5, "Rest after the start of the listeners")
        share = _cpu_share(pid, 4)
        kib = (_resident_kib(pid) - before) / LISTENERS
        threads = len(os.listdir(f"/proc/{pid}/task"))
        # A newcomer among them is served as ever.
        assert Client(server).ask("GET", "/api/v1/media").status == 200
    print(f"{LISTENERS} listeners: {share:.1%} of a core, {kib:.0f} KiB each, {threads} threads")
    assert share < 0.25
    assert kib < 150
    assert threads < 30


def _cpu_share(pid: int, seconds: float) -> float:
    started, used = time.monotonic(), _cpu_seconds(pid)
    time.sleep(seconds)
    return (_cpu_seconds(pid) - used) / (time.monotonic() - started)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
