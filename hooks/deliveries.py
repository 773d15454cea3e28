"""Tells receivers what has happened, at least once: through the queue of jobs.

A job is one event for one receiver, so that one that is away does not make the others hear
everything twice. It is put before the client has its answer, and the worker delivers it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hooks.events import HookEvent
from hooks.transport import Away, Call, Transport
from processing.patience import GiveUp, NotNow
from processing.queue import Job, Order, Queue
from processing.wake import Waker

HOOK = "hook"
LEAVE_ALONE_SECONDS = 5.0
SLOW_SECONDS = 1.0

# Whoever reads the queue must not be able to act as the client. Those that are forwarded are
# wanted, so they stay.
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


class Deliveries:
    """Makes the jobs of events; see `Deliverer` for the other end."""

    def __init__(
        self,
        transports: Sequence[Transport],
        queue: Queue,
        waker: Waker,
        *,
        keep_headers: Sequence[str] = (),
    ) -> None:
        """`keep_headers` names credentials that receivers are to get."""
        self._transports = tuple(transports)
        self._queue = queue
        self._waker = waker
        self._left_out = _CREDENTIALS - {name.lower() for name in keep_headers}

    def announce(self, event: HookEvent) -> None:
        """On return the jobs of this event are committed."""
        orders = self.orders(event)
        for order in orders:
            self._queue.put(order.kind, order.key, order.payload)
        if orders:
            self._waker.wake()

    def orders(self, event: HookEvent) -> Sequence[Order]:
        """One job for each receiver, to be put together with what the event is about."""
        takers = [transport for transport in self._transports if transport.takes(event.name)]
        if not takers:
            return ()
        document = self._without_credentials(event.to_json())
        return [
            Order(
                HOOK,
                f"{HOOK}:{event.name}:{event.upload.id}:{taker.name}",
                {
                    "name": event.name,
                    "id": event.message_id,
                    "to": taker.name,
                    "upload_id": event.upload.id,
                    "event": document,
                },
            )
            for taker in takers
        ]

    def _without_credentials(self, document: dict[str, Any]) -> dict[str, Any]:
        request = document["Event"]["HTTPRequest"]
        if request is not None:
            request["Header"] = {
                name: values
                for name, values in request["Header"].items()
                if name.lower() not in self._left_out
            }
        return document


class Deliverer:
    """Does the jobs of the kind HOOK; each may be done again, with the same message id."""

    def __init__(
        self, transports: Sequence[Transport], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Those for which jobs were put; `clock` counts seconds."""
        self._transports: Mapping[str, Transport] = {each.name: each for each in transports}
        self._absences = {each.name: Absence(clock) for each in transports}

    def run(self, job: Job) -> str:
        """Deliver, and say to whom. NotNow while the receiver is away, GiveUp without one."""
        to = str(job.payload["to"])
        transport = self._transports.get(to)
        if transport is None:
            raise GiveUp(f"No hook {to} is configured any more; configure it and try again.")
        call = Call(job.payload["name"], str(job.payload["id"]), job.payload["event"])
        if not transport.takes(call.name):
            raise GiveUp(f"The hook {to} does not take {call.name} any more.")
        with self._absences[to].try_it():
            transport.deliver(call)
        return f"delivered to {to}"


class Absence:
    """Keeps all but one from waiting for a receiver that does not answer: others need the time.

    One that refuses quickly costs none, and may take the next delivery.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """The receiver is taken for present."""
        self._clock = clock
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self._somebody_asks = False

    @contextlib.contextmanager
    def try_it(self) -> Iterator[None]:
        """Deliver within; NotNow, without a try, when another one has just waited in vain."""
        with self._lock:
            if self._away_since is not None:
                just_now = self._clock() - self._away_since < LEAVE_ALONE_SECONDS
                if just_now or self._somebody_asks:
                    raise NotNow("The receiver did not answer a moment ago.")
            self._somebody_asks = True
        started, hung = self._clock(), False
        try:
            yield
        except Away as error:
            hung = self._clock() - started >= SLOW_SECONDS
            raise NotNow(str(error), after_seconds=error.after_seconds) from error
        finally:
            with self._lock:
                self._away_since = self._clock() if hung else None
                self._somebody_asks = False
