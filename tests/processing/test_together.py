import threading
from collections.abc import Sequence

import pytest

from processing.together import Together
from tests.services import wait_until


class Ledger:
    """Keeps the batches that it was given; a part named `bad` cannot be written."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def write(self, parts: Sequence[str]) -> Sequence[str]:
        self.entered.set()
        assert self.gate.wait(20)
        if "bad" in parts:
            raise ValueError("bad")
        self.batches.append(list(parts))
        return [part.upper() for part in parts]


class Caller(threading.Thread):
    """One of many who write at the same time."""

    def __init__(self, together: Together[str, str], part: str) -> None:
        super().__init__(daemon=True)
        self.together, self.part = together, part
        self.result: str | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.together(self.part)
        except Exception as error:
            self.error = error


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def held_up(ledger: Ledger, together: Together[str, str], *parts: str) -> list[Caller]:
    """Callers who all came while the first one was writing."""
    ledger.gate.clear()
    first = Caller(together, "first")
    assert ledger.entered.wait(20)
    others = [Caller(together, part) for part in parts]
    wait_until(lambda: len(together._waiting) == len(parts), "The others' arrival", 20)
    ledger.gate.set()
    for caller in (first, *others):
        caller.join(20)
    return others


def test_one_alone_is_written_alone(ledger: Ledger) -> None:
    assert Together(ledger.write)("a") == "A"
    assert ledger.batches == [["a"]]


def test_those_who_come_during_a_write_share_the_next_one(ledger: Ledger) -> None:
    callers = held_up(ledger, Together(ledger.write), "a", "b", "c")
    assert [caller.result for caller in callers] == ["A", "B", "C"]
    assert [sorted(batch) for batch in ledger.batches] == [["first"], ["a", "b", "c"]]


def test_a_part_that_cannot_be_written_spoils_no_other(ledger: Ledger) -> None:
    a, bad, c = held_up(ledger, Together(ledger.write), "a", "bad", "c")
    assert (a.result, c.result) == ("A", "C")
    assert isinstance(bad.error, ValueError)
    assert sorted(ledger.batches) == [["a"], ["c"], ["first"]]


def test_after_a_failure_the_next_is_written(ledger: Ledger) -> None:
    together = Together(ledger.write)
    with pytest.raises(ValueError, match="bad"):
        together("bad")
    assert together("a") == "A"


def test_nobody_is_told_of_success_when_the_writer_was_stopped() -> None:
    def stopped(parts: Sequence[str]) -> Sequence[str]:
        raise KeyboardInterrupt

    together = Together(stopped)
    with pytest.raises(KeyboardInterrupt):
        together("a")
    assert together._waiting == []
