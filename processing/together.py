"""Many small writes that come at the same time, in one transaction."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Wish(Generic[T, R]):
    """One caller's part, and what became of it."""

    def __init__(self, part: T) -> None:
        self.part = part
        self.results: tuple[R, ...] = ()
        self.error: Exception = RuntimeError("Whoever wrote for all was stopped in the middle.")
        self.over = False

    def answer(self) -> R:
        if not self.results:
            raise self.error
        return self.results[0]


class Together(Generic[T, R]):
    """Collects what threads or greenlets want to write and writes it for all of them at once.

    A transaction of one small row is mostly beginning and committing. Whoever comes first lets
    the others who are ready go ahead, and then writes for them too; nobody waits for anybody
    who is not there yet.
    """

    def __init__(self, write: Callable[[Sequence[T]], Sequence[R]]) -> None:
        """`write` commits all parts or none, and returns a result for each, in their order."""
        self._write = write
        self._waiting: list[_Wish[T, R]] = []
        self._turn = threading.Lock()

    def __call__(self, part: T) -> R:
        """The result of this part, which is committed then; raises what its write raised."""
        wish = _Wish[T, R](part)
        self._waiting.append(wish)
        with self._turn:
            if not wish.over:
                # Those who are ready now arrive, and wait for the turn that is ours.
                time.sleep(0)
                wishes, self._waiting = self._waiting, []
                self._fulfil(wishes)
        return wish.answer()

    def _fulfil(self, wishes: Sequence[_Wish[T, R]]) -> None:
        try:
            results = self._write([wish.part for wish in wishes])
            for wish, result in zip(wishes, results, strict=True):
                wish.results = (result,)
        except Exception as error:
            if len(wishes) > 1:
                # The fault may be of one part alone; the others are not to suffer from it.
                for wish in wishes:
                    self._fulfil([wish])
                return
            wishes[0].error = error
        finally:
            for wish in wishes:
                wish.over = True
