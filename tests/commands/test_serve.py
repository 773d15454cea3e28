import signal
import socket

import pytest

from tests.conftest import Start
from tests.live import Live
from tests.services import wait_until
from tests.shell import Cli


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_both_children_and_with_status_0(cli: Cli, how: int) -> None:
    with cli.started("serve", "--port", "0", "--workers", "1") as process:
        assert process.stderr is not None
        said = ""
        while "Listening on http" not in said:
            said = process.stderr.readline()
            assert said, "The server ended at its start."
        process.send_signal(how)
        # Web and worker write to the same pipe, so its end is the end of both.
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert stderr.endswith("Stopped.\n")
    assert "Traceback" not in stderr


@pytest.mark.parametrize("name", ["gunicorn", "worker"])
def test_a_killed_child_is_started_again(start_server: Start, name: str) -> None:
    server = start_server(worker=True, workers=1)
    first = server.supervised(name)
    server.kill_child(first)
    second = server.supervised(name)
    assert second != first
    assert "process ended with signal SIGKILL; restarting it." in server.log()
    wait_until(lambda: _answers(server), "An answer")


def _answers(server: Live) -> bool:
    with socket.create_connection((server.host, server.port), timeout=10) as wire:
        wire.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return wire.recv(64).startswith(b"HTTP/1.1 200")


def test_a_token_of_the_command_holds(cli: Cli, start_server: Start) -> None:
    server = start_server(jwt_secret="")
    token = cli("token", "--user", "alice", "--data-dir", server.data_dir).stdout.strip()
    assert token.count(".") == 2
    assert "A token of user alice for 24 hours:\n\n  " in server.log()
    with socket.create_connection((server.host, server.port), timeout=10) as wire:
        request = f"GET /api/v1/media HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n"
        wire.sendall(request.encode())
        assert wire.recv(64).startswith(b"HTTP/1.1 200")


def test_a_port_in_use_is_one_sentence(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("serve", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"tusd-server: Cannot listen on 127.0.0.1 port {port}: address already in use; "
        "choose another with --host and --port.\n"
    )
