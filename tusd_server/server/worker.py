"""gunicorn's gevent worker with our connections, and a stop that loses no byte."""

import gc
import logging
import os
import time
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import VERSION, GeventPyWSGIWorker, PyWSGIServer

from tusd_server.server import STOPPING
from tusd_server.server.handler import Connection
from tusd_server.settings import Settings

# After running bodies were interrupted, their greenlets only have to sync and answer.
INTERRUPTED_SECONDS = 5.0


class Server(PyWSGIServer):  # type: ignore[misc]
    """One listening socket and its connections."""

    logger = logging.getLogger("tusd_server.server")

    def __init__(self, listener: Any, *, settings: Settings, **options: Any) -> None:
        """Listen on an open socket; `options` are pywsgi's."""
        super().__init__(listener, handler_class=Connection, **options)
        self.network_timeout_seconds = settings.network_timeout_seconds
        self.least_bytes = int(settings.min_bytes_per_second * settings.network_timeout_seconds)
        self.access_log = settings.access_log
        self.connections: set[Connection] = set()
        self.stopping = False

    def refuse_new(self) -> None:
        """Stop accepting, and end the connections on which nothing is under way."""
        self.stopping = True
        self.close()
        for connection in list(self.connections):
            connection.wake_if_idle()

    def end_slow(self) -> None:
        """End what takes far too long: a next request's head, waiting included, and bodies."""
        now = time.monotonic()
        window = self.network_timeout_seconds
        for connection in list(self.connections):
            connection.end_slow_head(now - 2 * window)
            if self.least_bytes:
                connection.end_slow_body(now, window, self.least_bytes)

    def interrupt(self) -> None:
        """Interrupt every body that is still being taken in."""
        for connection in list(self.connections):
            connection.interrupt()


class UploadWorker(GeventPyWSGIWorker):  # type: ignore[misc]
    """One web process: a greenlet for each connection."""

    def init_process(self) -> None:
        """Read the settings and start; called by gunicorn after the fork."""
        self.settings = Settings.from_env(os.environ)
        self._asked_to_stop = Event()
        super().init_process()

    def run(self) -> None:
        """Serve until gunicorn says stop, then stop in three steps."""
        # The program itself is never garbage; walking through it stops every connection for
        # a tenth of a second, again and again.
        gc.collect()
        gc.freeze()
        servers = [self._serve(listener) for listener in self.sockets]
        while self.alive:
            self.notify()
            for server in servers:
                server.end_slow()
            self._asked_to_stop.wait(1.0)
        for server in servers:
            server.refuse_new()
        self._wait_for(servers, self.settings.shutdown_seconds)
        for server in servers:
            server.interrupt()
        self._wait_for(servers, INTERRUPTED_SECONDS)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: wake `run` at once instead of at its next second."""
        super().handle_exit(sig, frame)
        self._asked_to_stop.set()

    def _serve(self, listener: Any) -> Server:
        listener.setblocking(True)
        environ = base_environ(self.cfg)
        environ.update({"wsgi.multithread": True, "SERVER_SOFTWARE": VERSION})
        environ[STOPPING] = self._asked_to_stop.is_set
        server = Server(
            listener,
            settings=self.settings,
            application=self.wsgi,
            spawn=Pool(self.worker_connections),
            log=self.log,
            environ=environ,
        )
        server.start()
        return server

    def _wait_for(self, servers: list[Server], seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while any(server.connections for server in servers) and time.monotonic() < give_up:
            self.notify()
            gevent.sleep(0.05)
