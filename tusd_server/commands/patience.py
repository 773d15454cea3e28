"""How long a client goes on when the network or the server does not."""

import random
import time
from collections.abc import Callable

from tusd_server.commands.connection import BadAnswer, NoAnswer, UploadFailed

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0


class Patience:
    """Waits longer after each failure, and gives up after so many seconds without progress."""

    def __init__(
        self,
        give_up_seconds: float,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`say` takes one sentence for the user; `clock` gives seconds."""
        self._give_up_seconds = give_up_seconds
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self.renew()

    def renew(self) -> None:
        """There was progress: all patience is back."""
        self._pause = FIRST_PAUSE_SECONDS
        self._last_progress = self._clock()

    def bear(self, error: UploadFailed) -> None:
        """Wait before the next try; raises `error` when it is final or patience is at its end."""
        temporary = isinstance(error, NoAnswer) or (isinstance(error, BadAnswer) and error.for_now)
        left = self._last_progress + self._give_up_seconds - self._clock()
        if not temporary or left <= 0:
            raise error
        # Phones and scripts that lost one server together must not come back together.
        pause = min(self._pause * random.uniform(0.75, 1.25), left)  # noqa: S311 (no secret)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._say(f"{str(error).rstrip('.')}; trying again in {pause:.1f} s.")
        self._sleep(pause)
