"""Thousands of phones on a bad network: all at once, each sends a little every second."""

import multiprocessing
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from heapq import heappop, heappush
from multiprocessing.connection import Connection

from bench.body import BLOCK
from bench.wire import Endpoint, Line, LoadFailed, creation, patch_head

PIECE_BYTES = 1024
_PIECE_EVERY_SECONDS = 1.0
_BEGINNING_PER_SECOND = 2000
_PROBE_EVERY_SECONDS = 0.05
_LAST_ANSWERS_WITHIN_SECONDS = 30.0


@dataclass
class Trickled:
    """How it went; `failures` holds one sentence per upload that did not end well.

    `began` and `ended` enclose the time in which all uploads were under way (monotonic seconds).
    """

    began: float
    ended: float
    failures: list[str] = field(default_factory=list)


@dataclass
class _Phone:
    line: Line
    path: str
    begun: bool = False
    sent: int = 0


def trickle(
    endpoint: Endpoint, paths: Sequence[str], pieces: int, every_second: Callable[[], None]
) -> Trickled:
    """Fill all uploads at once, one KiB a second each.

    `every_second` is called while all of them are under way, never before or after.
    """
    phones = [_Phone(Line(endpoint), path) for path in paths]
    with closing(_Trickle(endpoint, phones, pieces)) as load:
        while load.sending:
            load.step()
            load.once_a_second(every_second)
        load.wait_for_last_answers()
        return load.result


class _Trickle:
    def __init__(self, endpoint: Endpoint, phones: Sequence[_Phone], pieces: int) -> None:
        self._endpoint = endpoint
        self._phones = phones
        self._length = pieces * PIECE_BYTES
        self._waiting = set(map(id, phones))
        self._selector = selectors.DefaultSelector()
        now = time.monotonic()
        ramp = min(max(1.0, len(phones) / _BEGINNING_PER_SECOND), pieces / 2)
        # Begun in this order, so a heap already: what is due first stands first.
        self._due = [(now + ramp * n / len(phones), n) for n in range(len(phones))]
        self.result = Trickled(now + ramp + 1, now + pieces * _PIECE_EVERY_SECONDS)
        self._next_call = self.result.began

    @property
    def sending(self) -> bool:
        return bool(self._due)

    def step(self) -> None:
        """Send what is due, read what has come, and sleep no longer than to the next piece."""
        while self._due and self._due[0][0] <= time.monotonic():
            due, number = heappop(self._due)
            if id(self._phones[number]) in self._waiting:
                self._go_on(number, due)
        pause = self._due[0][0] - time.monotonic() if self._due else 0
        self._read(max(0.0, pause))

    def once_a_second(self, call: Callable[[], None]) -> None:
        now = time.monotonic()
        if self._next_call <= now < self.result.ended:
            self._next_call = now + 1
            call()

    def wait_for_last_answers(self) -> None:
        deadline = time.monotonic() + _LAST_ANSWERS_WITHIN_SECONDS
        while self._waiting and time.monotonic() < deadline:
            self._read(0.1)
        silent = len(self._waiting)
        sentence = f"No answer came within {_LAST_ANSWERS_WITHIN_SECONDS:.0f} s of the last byte."
        self.result.failures += [sentence] * silent

    def close(self) -> None:
        for phone in self._phones:
            phone.line.close()
        self._selector.close()

    def _go_on(self, number: int, due: float) -> None:
        phone = self._phones[number]
        if phone.begun:
            phone.line.send_more(BLOCK[phone.sent : phone.sent + PIECE_BYTES])
            phone.sent += PIECE_BYTES
        else:
            phone.line.send(patch_head(self._endpoint, phone.path, 0, self._length))
            self._selector.register(phone.line.socket, selectors.EVENT_READ, phone)
            phone.begun = True
        if phone.sent < self._length:
            heappush(self._due, (due + _PIECE_EVERY_SECONDS, number))

    def _read(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            try:
                self._read_phone(key.data)
            except LoadFailed as failure:
                self.result.failures.append(str(failure))
                self._hang_up(key.data)

    def _read_phone(self, phone: _Phone) -> None:
        reply = phone.line.receive()
        if reply is not None:
            reply.expect("A slow PATCH", 204, self._length)
            self._hang_up(phone)

    def _hang_up(self, phone: _Phone) -> None:
        self._waiting.discard(id(phone))
        self._selector.unregister(phone.line.socket)
        phone.line.close()


class Probe:
    """Another process that creates uploads on new connections and times each from its connect."""

    def __init__(self, endpoint: Endpoint) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_probe, args=(theirs, endpoint), daemon=True)
        self._process.start()
        self._ours.recv()

    def begin(self) -> None:
        self._ours.send("begin")

    def end(self) -> tuple[list[tuple[float, float]], list[str]]:
        """When each POST began (monotonic) and its seconds; a sentence for each that failed."""
        self._ours.send("end")
        posts, failures = self._ours.recv()
        self._process.join()
        return posts, failures

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _probe(parent: Connection, endpoint: Endpoint) -> None:
    parent.send("ready")
    parent.recv()
    posts: list[tuple[float, float]] = []
    failures: list[str] = []
    while not parent.poll(_PROBE_EVERY_SECONDS):
        began = time.monotonic()
        try:
            with Line(endpoint) as line:
                line.ask(creation(endpoint, PIECE_BYTES)).expect("A new POST", 201)
        except LoadFailed as failure:
            failures.append(str(failure))
        posts.append((began, time.monotonic() - began))
    parent.send((posts, failures))
