"""Stops: quick when nothing is under way, patient with what is, and no byte is lost."""

import os
import signal
import socket

import pytest

from tests.conftest import Start
from tests.live import Live
from tests.raw import Client, eventually, jpeg_bytes


@pytest.mark.parametrize("worker", [True, False])
def test_idle_connections_do_not_hold_up_a_stop(start_server: Start, worker: bool) -> None:
    server = start_server(workers=2, worker=worker, shutdown_seconds=30)
    client = Client(server)
    wires = [client.wire() for _ in range(20)]
    for wire in wires[:10]:
        wire.send(client.head("OPTIONS", "/files/"))
        assert wire.answer().status == 204
    # With only half a head, a request has begun as little as with none.
    assert server.stop() < 10
    for wire in wires:
        assert wire.ended()
        wire.close()


def test_long_body_is_answered_503_and_kept(start_server: Start) -> None:
    server = start_server(workers=1, shutdown_seconds=1)
    client, content = Client(server), jpeg_bytes(200_000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, len(content)) + content[:120_000])
        eventually(lambda: client.offset(path), 120_000)
        seconds = server.stop()
        answer = wire.answer()
        assert (answer.status, answer.offset, answer["connection"]) == (503, 120_000, "close")
        assert wire.ended()
    assert 0.9 < seconds < 10
    again = Client(start_server(server.data_dir, workers=1))
    assert again.offset(path) == 120_000
    assert again.patch(path, 120_000, content[120_000:]).status == 204
    assert again.download(path) == content


def test_body_that_ends_in_time_is_finished(start_server: Start) -> None:
    server = start_server(workers=1, shutdown_seconds=20)
    client, content = Client(server), jpeg_bytes(200_000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, len(content)) + content[:120_000])
        eventually(lambda: client.offset(path), 120_000)
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: refuses(server), True)
        wire.send(content[120_000:])
        answer = wire.answer()
        assert (answer.status, answer["connection"]) == (204, "close")
    server.wait()
    assert Client(start_server(server.data_dir, workers=1)).download(path) == content


def test_interrupt_from_the_terminal_is_a_clean_stop(start_server: Start) -> None:
    server = start_server(workers=1, worker=True)
    os.kill(server.pid, signal.SIGINT)
    server.wait()
    assert server.log().rstrip().endswith("Stopped.")
    assert "Traceback" not in server.log()


def test_killed_supervisor_takes_its_children_along(start_server: Start) -> None:
    server = start_server(workers=2, worker=True)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()


def test_port_in_use_is_one_sentence(web: Live, start_server: Start) -> None:
    with pytest.raises(AssertionError) as failure:
        start_server(port=web.port)
    assert f"tusd-server: Cannot listen on 127.0.0.1 port {web.port}: " in str(failure.value)
    assert "Traceback" not in str(failure.value)


def refuses(server: Live) -> bool:
    """Whether a new connection gets no answer: the web process does not accept it any more."""
    with socket.create_connection((server.host, server.port), timeout=0.3) as probe:
        probe.settimeout(0.3)
        try:
            probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
            return not probe.recv(100)
        except OSError:
            return True
