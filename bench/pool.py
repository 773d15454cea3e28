"""Many short conversations over a few connections at once, in one thread."""

import selectors
import time
from collections.abc import Generator, Iterable, Iterator

from bench.wire import TIMEOUT_SECONDS, Endpoint, Line, LoadFailed, Reply

Script = Generator[bytes, Reply, None]
"""One conversation: yields a request, is sent its reply, and returns when it is content."""


def run_scripts(endpoint: Endpoint, scripts: Iterable[Script], connections: int) -> list[float]:
    """Run all scripts, one at a time on each connection; return every request's seconds."""
    pool = _Pool(endpoint, iter(scripts))
    try:
        return pool.run(connections)
    finally:
        pool.close()


class _Seat:
    def __init__(self, line: Line, script: Script) -> None:
        self.line = line
        self.script = script
        self.asked_at = 0.0

    def ask(self, request: bytes) -> None:
        self.line.send(request)
        self.asked_at = time.perf_counter()


class _Pool:
    def __init__(self, endpoint: Endpoint, scripts: Iterator[Script]) -> None:
        self._endpoint = endpoint
        self._scripts = scripts
        self._selector = selectors.DefaultSelector()
        self._latencies: list[float] = []

    def run(self, connections: int) -> list[float]:
        for script in self._first_scripts(connections):
            seat = _Seat(Line(self._endpoint), script)
            self._selector.register(seat.line.socket, selectors.EVENT_READ, seat)
            seat.ask(next(script))
        while self._selector.get_map():
            self._turn()
        return self._latencies

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.line.close()
        self._selector.close()

    def _first_scripts(self, connections: int) -> Iterator[Script]:
        for _ in range(connections):
            script = next(self._scripts, None)
            if script is None:
                return
            yield script

    def _turn(self) -> None:
        ready = self._selector.select(TIMEOUT_SECONDS)
        if not ready:
            raise LoadFailed(f"No connection had an answer within {TIMEOUT_SECONDS:.0f} s.")
        for key, _ in ready:
            reply = key.data.line.receive()
            if reply is not None:
                self._go_on(key.data, reply)

    def _go_on(self, seat: _Seat, reply: Reply) -> None:
        self._latencies.append(time.perf_counter() - seat.asked_at)
        if reply.closes:
            self._renew(seat)
        request = self._next_request(seat, reply)
        if request is None:
            self._selector.unregister(seat.line.socket)
            seat.line.close()
        else:
            seat.ask(request)

    def _renew(self, seat: _Seat) -> None:
        self._selector.unregister(seat.line.socket)
        seat.line.reconnect()
        self._selector.register(seat.line.socket, selectors.EVENT_READ, seat)

    def _next_request(self, seat: _Seat, reply: Reply) -> bytes | None:
        try:
            return seat.script.send(reply)
        except StopIteration:
            following = next(self._scripts, None)
        if following is None:
            return None
        seat.script = following
        return next(following)
