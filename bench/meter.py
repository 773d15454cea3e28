"""What a load has cost the server, and how busy it kept us."""

import math
import time
from collections.abc import Sequence

from bench.procfs import cpu_seconds

# A server must not look cheap because it finishes its work after the answer.
_SETTLE_SECONDS = 0.3


class Meter:
    """Begins to count when made; `stop` fills in the figures."""

    cpu: float
    wall: float
    driver_share: float

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._cpu = cpu_seconds(pids)
        self._own = time.process_time()
        self._wall = time.perf_counter()

    def stop(self) -> "Meter":
        """Set cpu (seconds of the server's tree), wall (seconds) and driver_share (0 to 1)."""
        self.wall = time.perf_counter() - self._wall
        self.driver_share = (time.process_time() - self._own) / self.wall
        time.sleep(_SETTLE_SECONDS)
        self.cpu = cpu_seconds(self._pids) - self._cpu
        return self


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
