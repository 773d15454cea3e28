import os
import sys
import threading
from types import FrameType
from typing import Any

import pytest

from tusd_server.supervisor import Program, Supervisor

SLEEPS = Program("sleeper", ("sleep", "600"), {"PATH": os.environ["PATH"]})


def supervisor(*programs: Program) -> Supervisor:
    return Supervisor([*programs], shutdown_seconds=1, say=lambda _: None)


def started(run: Any) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("line", range(8))
def test_the_signal_to_stop_may_come_at_any_moment(line: int) -> None:
    """A signal's handler runs between two lines of the main thread; here it is a tracer."""
    room, lines, come = supervisor(), iter(range(line)), threading.Event()

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line" and not come.is_set() and next(lines, None) is None:
            come.set()
            room.stop()
        return trace

    def run() -> None:
        sys.settrace(trace)
        room.run()

    running = started(run)
    if not come.wait(0.2):  # it waits already
        started(room.stop)
    running.join(10)
    assert not running.is_alive()


def test_a_stop_ends_the_children_and_starts_none_again() -> None:
    room = supervisor(SLEEPS)
    running = started(room.run)
    room.stop()
    running.join(10)
    assert not running.is_alive()
