"""How many jobs of which kinds a worker runs at once.

Kinds that mostly wait for somebody else's answer have slots of their own: while a posts backend or
a hook's receiver hangs, its jobs fill these, and media are examined as ever.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lane:
    """Slots that are kept for some kinds of jobs, which then use no others."""

    kinds: frozenset[str]
    slots: int


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds named, or with `others` all but these."""

    named: frozenset[str]
    others: bool


class Lanes:
    """The slots of one worker; jobs are taken by one thread and given back by many."""

    def __init__(self, slots: int, lanes: Sequence[Lane] = ()) -> None:
        """`slots` are for all kinds that have no lane."""
        self._lanes = tuple(lanes)
        self._slots = slots
        self._taken: Counter[Lane | None] = Counter()
        self._given_back = threading.Condition()

    def free(self, timeout_seconds: float) -> Kinds | None:
        """The kinds of which a job may begin; None when there is no slot in time."""
        with self._given_back:
            self._given_back.wait_for(self._any_free, timeout_seconds)
            if not self._any_free():
                return None
            others = self._is_free(None)
            named = [lane.kinds for lane in self._lanes if self._is_free(lane) is not others]
            return Kinds(frozenset().union(*named), others)

    def take(self, kind: str) -> None:
        """A job of this kind begins."""
        with self._given_back:
            self._taken[self._lane_of(kind)] += 1

    def give_back(self, kind: str) -> None:
        """A job of this kind has ended."""
        with self._given_back:
            self._taken[self._lane_of(kind)] -= 1
            self._given_back.notify()

    def _any_free(self) -> bool:
        return any(self._is_free(lane) for lane in (None, *self._lanes))

    def _is_free(self, lane: Lane | None) -> bool:
        return self._taken[lane] < (self._slots if lane is None else lane.slots)

    def _lane_of(self, kind: str) -> Lane | None:
        return next((lane for lane in self._lanes if kind in lane.kinds), None)
