"""How work that takes a while says what it is at, without knowing whether anybody listens.

A listener is set for everything that its block calls in the same thread, so that a step deep
inside needs no argument for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, float | None], None]


def tell(step: str, progress: float | None = None) -> None:
    """Say which step has begun, and which part of the whole (0 to 1) lies behind it.

    Cheap, and may be called often; None is for work whose length is not known.
    """
    _listener.get()(step, progress)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """What is told within goes to `listener`, in the thread that tells it."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def _nobody(step: str, progress: float | None) -> None:
    """Listen to nothing."""


_listener: ContextVar[Listener] = ContextVar("listener", default=_nobody)
