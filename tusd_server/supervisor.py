"""`serve`: web and worker as one program, whose children are started again when they die."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tusd_server.errors import BadSetting
from tusd_server.server import supervised
from tusd_server.settings import Settings

WEB = "web"
RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 30.0
# A child that lived this long was not ended by its own start.
HEALTHY_SECONDS = 10.0
# Beyond the shutdown time, for gunicorn to send the last answers and to end its own children.
KILL_AFTER_SECONDS = 15.0


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; raises BadSetting with one sentence when that cannot be.

    The supervisor keeps the socket for as long as it lives: connections wait in its queue while
    a web process is started again.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise BadSetting(
            f"Cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}; "
            "choose another with --host and --port."
        ) from None
    listener.set_inheritable(True)
    return listener


@dataclass(frozen=True)
class Program:
    """A child: its name in messages, its command line, its environment, its open sockets."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    sockets: tuple[int, ...] = ()


def programs(settings: Settings, listener: socket.socket, *, with_worker: bool) -> list[Program]:
    """The children of `serve`."""
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("TUSD_")},
        **settings.environ(),
        supervised.ENVIRONMENT: str(os.getpid()),
        "_TUSD_BIND": f"fd://{listener.fileno()}",
    }
    environ.pop("GUNICORN_CMD_ARGS", None)
    gunicorn = ("-m", "gunicorn", "-c", "python:tusd_server.server.config")
    web = (sys.executable, *gunicorn, "tusd_server:create_app()")
    found = [Program(WEB, web, environ, (listener.fileno(),))]
    if with_worker:
        worker = (sys.executable, "-m", "tusd_server", "worker")
        found.append(Program("worker", worker, environ))
    return found


class Supervisor:
    """Keeps programs running until it is told to stop."""

    def __init__(
        self, programs: list[Program], *, shutdown_seconds: float, say: Callable[[str], None]
    ) -> None:
        """`say` takes one sentence for the operator."""
        self._patience_seconds = shutdown_seconds + KILL_AFTER_SECONDS
        self._programs = programs
        self._say = say
        self._stop = threading.Event()
        # An event's lock could be held by the very thread that a signal interrupts; this has none.
        self._asked_to_stop: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(program,), daemon=True)
            for program in programs
        ]

    def run(self) -> None:
        """Start all, and return when `stop` was called and all have ended."""
        for thread in self._threads:
            thread.start()
        self._asked_to_stop.get()
        self._stop.set()
        deadline = time.monotonic() + self._patience_seconds
        for child in list(self._children.values()):
            child.terminate()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for child in list(self._children.values()):
            child.kill()

    def reload(self) -> None:
        """Renew web processes one after the other, and the worker when its jobs are done."""
        for name, child in list(self._children.items()):
            child.send_signal(signal.SIGHUP if name == WEB else signal.SIGTERM)

    def stop(self) -> None:
        """End everything; may be called from a signal handler."""
        self._asked_to_stop.put(None)

    def _keep(self, program: Program) -> None:
        pause = RESTART_SECONDS
        while not self._stop.is_set():
            started = time.monotonic()
            status = self._run_once(program)
            if self._stop.is_set():
                return
            if time.monotonic() - started > HEALTHY_SECONDS:
                pause = RESTART_SECONDS
            self._say(f"The {program.name} process ended with {_ending(status)}; restarting it.")
            self._stop.wait(pause)
            pause = min(pause * 2, LONGEST_RESTART_SECONDS)

    def _run_once(self, program: Program) -> int:
        # A session of its own, or Ctrl-C in the terminal would reach the children directly,
        # before we can end them in good order.
        child = subprocess.Popen(
            program.command,
            env=dict(program.environ),
            pass_fds=program.sockets,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._children[program.name] = child
        if self._stop.is_set():
            child.terminate()
        status = child.wait()
        del self._children[program.name]
        return status


def _ending(status: int) -> str:
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
