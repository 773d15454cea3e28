"""A network between client and server that fails as it is told, connection by connection."""

import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

Kind = Literal["pass", "throttle", "fin", "reset", "stall"]

BLOCK_BYTES = 16_384
IDLE_SECONDS = 0.05
# Small, so that little lies between the two ends when a connection is cut.
SOCKET_BUFFER_BYTES = 32_768


@dataclass(frozen=True)
class Fault:
    """What becomes of the bytes that one client sends.

    `throttle` passes `rate` bytes a second; the others pass `after` bytes and then close the
    connection at both ends in good order, reset it at both ends, or pass nothing more while it
    stays open.
    """

    kind: Kind = "pass"
    after: int = 0
    rate: int = 0


PASS = Fault()


class Proxy:
    """Listens on a free port; `script` has a fault for each connection, then all is passed."""

    def __init__(self, target: Callable[[], tuple[str, int]], script: Sequence[Fault] = ()) -> None:
        """`target` is asked for host and port at every connection."""
        self.connections = 0
        self._target = target
        self._script = list(script)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            number = self.connections
            self.connections += 1
            fault = self._script[number] if number < len(self._script) else PASS
            thread = threading.Thread(target=self._carry, args=(client, fault), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket, fault: Fault) -> None:
        with client:
            try:
                server = socket.create_connection(self._target(), timeout=5)
            except OSError:
                return
            with server, suppress(OSError):
                _Pipe(client, server, fault, self._closing).run()


class _Pipe:
    """Both directions of one connection; answers pass untouched, for as long as it lives."""

    def __init__(
        self, client: socket.socket, server: socket.socket, fault: Fault, closing: threading.Event
    ) -> None:
        self._client = client
        self._server = server
        self._fault = fault
        self._closing = closing
        self._passed = 0
        self._started = time.monotonic()
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._client, selectors.EVENT_READ, self._forward)
            selector.register(self._server, selectors.EVENT_READ, self._back)
            going_on = True
            while going_on and not self._closing.is_set():
                for key, _ in selector.select(IDLE_SECONDS):
                    going_on = key.data(selector) and going_on

    def _forward(self, selector: selectors.BaseSelector) -> bool:
        allowed = self._allowed()
        if not allowed:
            return self._fail(selector)
        data = self._client.recv(allowed)
        if not data:
            selector.unregister(self._client)
            self._server.shutdown(socket.SHUT_WR)
            return True
        self._server.sendall(data)
        self._passed += len(data)
        if self._fault.kind == "throttle":
            due = self._started + self._passed / self._fault.rate
            self._closing.wait(max(0.0, due - time.monotonic()))
        return True

    def _back(self, selector: selectors.BaseSelector) -> bool:
        data = self._server.recv(BLOCK_BYTES)
        if data:
            self._client.sendall(data)
        return bool(data)

    def _allowed(self) -> int:
        if self._fault.kind == "throttle":
            return max(1, min(BLOCK_BYTES, self._fault.rate // 20))
        if self._fault.kind == "pass":
            return BLOCK_BYTES
        return min(BLOCK_BYTES, self._fault.after - self._passed)

    def _fail(self, selector: selectors.BaseSelector) -> bool:
        if self._fault.kind == "stall":
            selector.unregister(self._client)
            return True
        if self._fault.kind == "reset":
            for each in (self._client, self._server):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def script(seed: int, connections: int, most_bytes: int) -> list[Fault]:
    """So many faults, chosen by the seed; each passes fewer than `most_bytes`."""
    rng = random.Random(seed)
    kinds: tuple[Kind, ...] = ("pass", "throttle", "fin", "reset", "stall")
    return [
        Fault(rng.choice(kinds), rng.randrange(most_bytes), rng.randint(300_000, 900_000))
        for _ in range(connections)
    ]
