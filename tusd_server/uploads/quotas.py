"""How much one user may have, and how often begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from tusd_server.errors import QuotaExceeded
from tusd_server.info import UploadInfo
from tusd_server.storage.base import DataStore, KnowsOwners

# What is stored shrinks when posts are published, what is under way when it ends: soon, not now.
RETRY_AFTER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one user may have; 0 is no limit."""

    stored_bytes: int = 0
    unfinished: int = 0
    creations_per_minute: int = 0


class Quotas:
    """Checks an allowance: before an upload is created, and while one of unknown length grows."""

    def __init__(
        self,
        allowance: Allowance,
        store: DataStore,
        stored_bytes: Callable[[str], int],
        *,
        redis_url: str | None = None,
    ) -> None:
        """`stored_bytes` gives the bytes of a user's finished media."""
        self._allowance = allowance
        self._store = store
        self._stored_bytes = stored_bytes
        self._rate = RateLimitItemPerMinute(allowance.creations_per_minute or 1)
        self._limiter = SlidingWindowCounterRateLimiter(
            storage_from_string(redis_url or "memory://", wrap_exceptions=True)
        )

    def check(self, owner: str, length: int | None, parts: Sequence[UploadInfo] = ()) -> None:
        """Raise QuotaExceeded unless this owner may begin an upload of this many bytes.

        `parts` are those of which it will be made; their bytes are here and counted already.
        """
        self._check_rate(owner)
        allowed = self._allowance
        if not (allowed.stored_bytes or allowed.unfinished):
            return
        if not isinstance(self._store, KnowsOwners):
            return
        under_way = self._store.unfinished_of(owner)
        unfinished = sum(not info.finished for info in under_way)
        if allowed.unfinished and unfinished >= allowed.unfinished:
            raise QuotaExceeded(
                f"You have {unfinished} unfinished uploads; at most {allowed.unfinished} "
                "are allowed, finish or delete some.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        if allowed.stored_bytes:
            present = self._stored_bytes(owner) + _bytes_of(under_way)
            self._check_bytes(present, max(0, (length or 0) - _bytes_of(parts)))

    def check_growth(self, info: UploadInfo, owner: str, size: int) -> None:
        """Raise QuotaExceeded unless this owner may have `size` bytes in this upload.

        For one that was created without a length, whose bytes are counted as they come.
        """
        if not self._allowance.stored_bytes or not isinstance(self._store, KnowsOwners):
            return
        others = [each for each in self._store.unfinished_of(owner) if each.id != info.id]
        self._check_bytes(self._stored_bytes(owner) + _bytes_of(others), size)

    def _check_bytes(self, present: int, length: int) -> None:
        if present + length > self._allowance.stored_bytes:
            raise QuotaExceeded(
                f"You have {present} bytes here; with {length} more it would be over the "
                f"{self._allowance.stored_bytes} bytes that are allowed.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )

    def _check_rate(self, owner: str) -> None:
        most = self._allowance.creations_per_minute
        if not most:
            return
        try:
            allowed = self._limiter.hit(self._rate, owner)
        except StorageError:  # a counter that is away must not stop uploads
            return
        if not allowed:
            raise QuotaExceeded(
                f"You have begun {most} uploads within a minute, which is the limit; wait.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )


def _bytes_of(uploads: Sequence[UploadInfo]) -> int:
    """The bytes that these uploads take; the bytes of one that is made of others are theirs."""
    sizes = {info.id: info.length or info.offset for info in uploads if not info.final}
    return sum(sizes.values())
