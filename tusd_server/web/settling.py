"""Waiting, for a short while, for the worker to examine a medium; and the answer about it."""

import time
from collections.abc import Callable, Sequence

from processing.catalog import Catalog
from processing.medium import Medium
from tusd_server.errors import MediumRejected

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.25


class Settling:
    """Looks at records until they are examined. A greenlet that waits costs a query now and then.

    In the web process of this server `time.sleep` lets the other connections run.
    """

    def __init__(
        self,
        catalog: Catalog,
        wait_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """No request waits longer than `wait_seconds`."""
        self.wait_seconds = wait_seconds
        self._catalog = catalog
        self._clock = clock
        self._sleep = sleep

    def wait(self, media_ids: Sequence[str]) -> list[Medium]:
        """The media, as soon as all are examined or the time is over; unknown ids are left out."""
        give_up = self._clock() + self.wait_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            found = [self._catalog.get(media_id) for media_id in media_ids]
            media = [medium for medium in found if medium is not None]
            left = give_up - self._clock()
            if all(map(is_settled, media)) or left <= 0:
                return media
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def is_settled(medium: Medium) -> bool:
    """Whether the examination is over."""
    return medium.status not in ("received", "processing")


def rejection_of(medium: Medium) -> MediumRejected:
    """The error that tells of a rejected medium."""
    error = MediumRejected(" ".join(reason.message for reason in medium.reasons))
    error.details = {
        "code": medium.reasons[0].code if medium.reasons else None,
        "reasons": [{"code": each.code, "message": each.message} for each in medium.reasons],
        "media_id": medium.id,
    }
    return error


def status_for(medium: Medium) -> int:
    """200 for a medium that can be used or is over, 202 for one of which more is to be heard.

    Raises MediumRejected.
    """
    if medium.status == "rejected":
        raise rejection_of(medium)
    return 202 if medium.status in ("received", "processing", "failed") else 200
