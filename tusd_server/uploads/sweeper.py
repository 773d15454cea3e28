"""Deletes what nobody finishes, forgets what is long over, completes what a crash left."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tusd_server.errors import UploadError
from tusd_server.info import UploadInfo, now_utc
from tusd_server.locks import Locker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.joining import Bystander
from tusd_server.uploads.service import Uploads

log = logging.getLogger("tusd_server.sweeper")

# To forget means to walk through every finished upload, so it is done less often.
FORGET_EVERY = timedelta(hours=1)


@dataclass
class Swept:
    """What one round did, or with a dry run would have done."""

    expired: list[UploadInfo] = field(default_factory=list)
    orphans: list[Path] = field(default_factory=list)
    forgotten: int = 0


class Sweeper:
    """Keeps a local store tidy; may run in several processes at once."""

    def __init__(
        self,
        store: FilesystemStore,
        locker: Locker,
        uploads: Uploads,
        *,
        forget_gone_after: timedelta,
        forget_finished_after: timedelta,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        """`uploads` knows what has expired, and joins what a crash left unjoined."""
        self._store = store
        self._locker = locker
        self._uploads = uploads
        self._forget_gone_after = forget_gone_after
        self._forget_finished_after = forget_finished_after
        self._clock = clock
        self._forgot_at: datetime | None = None

    def run(self) -> None:
        """One round inside a worker; what fails is logged, and the next round tries again."""
        try:
            swept = self.sweep()
        except Exception:
            log.exception("the sweeper did not finish its round")
            return
        if swept.expired or swept.orphans or swept.forgotten:
            log.info(
                "swept %d expired uploads, %d orphans, %d forgotten",
                len(swept.expired),
                len(swept.orphans),
                swept.forgotten,
            )

    def sweep(self, *, dry_run: bool = False, thoroughly: bool = False) -> Swept:
        """Do one round; with `thoroughly` also what is usually done once an hour."""
        now = self._clock()
        swept = Swept()
        for info in self._store.all():
            if self._is_expired(info, now):
                swept.expired.append(info)
                if not dry_run:
                    self._expire(info)
            elif info.final and not (info.finished or info.refusal or dry_run):
                self._uploads.join_again(info)
        swept.orphans = list(self._store.orphans())
        if dry_run:
            return swept
        for orphan in swept.orphans:
            orphan.unlink(missing_ok=True)
        if thoroughly or self._forgot_at is None or now - self._forgot_at >= FORGET_EVERY:
            self._forgot_at = now
            swept.forgotten = self._store.forget(
                gone_since=now - self._forget_gone_after,
                finished_since=now - self._forget_finished_after,
            )
        return swept

    def _is_expired(self, info: UploadInfo, now: datetime) -> bool:
        expires = self._uploads.expires(info)
        return info.refusal is None and expires is not None and expires < now

    def _expire(self, info: UploadInfo) -> None:
        try:
            with self._locker.hold(info.id, Bystander()):
                # Bytes may have come while we waited for the lock.
                fresh = self._store.look(info.id)
                if self._is_expired(fresh, self._clock()):
                    self._store.expire(fresh)
        except UploadError:  # gone or busy: somebody else takes care of it
            return
