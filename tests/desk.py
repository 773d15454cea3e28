"""The rules of uploads with stores, locks, hooks and a clock of the test's own."""

import io
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hooks.base import Hooks
from hooks.events import HookEvent, HookRejected, HookReply, RequestFacts
from tests.records import FakeClock
from tusd_server.info import UploadInfo
from tusd_server.locks import FileLocker, Locker, MemoryLocker
from tusd_server.storage.base import DataStore
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.body import PortableBody
from tusd_server.uploads.quotas import Quotas
from tusd_server.uploads.receiving import Proof
from tusd_server.uploads.service import NO_PROOF, Outcome, Uploads, Wanted

REQUEST = RequestFacts("PATCH", "/files/u1", "127.0.0.1:1")
DAY = timedelta(days=1)


class Judge(Hooks):
    """Notes what it is asked and told; refuses what begins with the word `bad`."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.finished: list[str] = []
        self.fails: Exception | None = None

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        self.heads.append(head)
        if self.fails is not None:
            raise self.fails
        if head.startswith(b"bad"):
            raise HookRejected("bad_content", "Not this one.", kind="content")

    def post_finish(self, event: HookEvent) -> HookReply:
        self.finished.append(event.upload.id)
        return HookReply()


@dataclass
class Desk:
    """Alice asks; the ids are u1, u2, ... The clock runs from now on, as files' times do."""

    store: DataStore
    locker: Locker
    hooks: Judge = field(default_factory=Judge)
    clock: FakeClock = field(default_factory=lambda: FakeClock(datetime.now(UTC)))
    max_size: int = 1_000_000
    quotas: Quotas | None = None
    made: int = 0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Begin anew, as a process does, with what the store has kept."""
        self.uploads = Uploads(
            self.store,
            self.locker,
            self.hooks,
            max_size=self.max_size,
            expire_after=DAY,
            quotas=self.quotas,
            clock=self.clock,
            new_id=self._new_id,
        )

    def _new_id(self) -> str:
        self.made += 1
        return f"u{self.made}"

    def create(
        self, length: int | None = 11, body: PortableBody | None = None, **wanted: Any
    ) -> str:
        """Make an upload; its id."""
        made = self.uploads.create("alice", Wanted(length, **wanted), body, REQUEST)
        return made.info.id

    def part(self, content: bytes, **wanted: Any) -> str:
        """A complete part."""
        upload = self.create(len(content), partial=True, concat="partial", **wanted)
        if content:
            self.append(upload, 0, content)
        return upload

    def join(self, *parts: str, **wanted: Any) -> str:
        """Ask for a final upload; its id."""
        return self.create(None, parts=parts, concat=f"final;{' '.join(parts)}", **wanted)

    def append(
        self,
        upload: str,
        offset: int,
        body: bytes | PortableBody,
        *,
        length: int | None = None,
        proof: Proof = NO_PROOF,
    ) -> Outcome:
        sent = body_of(body) if isinstance(body, bytes) else body
        return self.uploads.append(
            upload, "alice", offset, sent, REQUEST, length=length, proof=proof
        )

    def look(self, upload: str) -> Outcome:
        return self.uploads.look(upload, "alice", REQUEST)

    def info(self, upload: str) -> UploadInfo:
        return self.look(upload).info

    def contents(self, upload: str) -> bytes:
        with self.store.writer(self.store.look(upload)) as writer:
            return writer.read(10_000_000, 0)

    def age(self, upload: str, by: timedelta) -> None:
        """Let the upload's last bytes have come earlier; in memory only."""
        info = self.store.look(upload)
        assert info.touched_at is not None
        self.store.update(replace(info, touched_at=info.touched_at - by))


def body_of(data: bytes, length: int | None = -1) -> PortableBody:
    """A body that announces its length, or another one; None is a chunked one."""
    return PortableBody(io.BytesIO(data), len(data) if length == -1 else length)


def memory_desk(**parts: Any) -> Desk:
    return Desk(MemoryStore(), MemoryLocker(timeout_seconds=0.2), **parts)


def files_desk(folder: Path, **parts: Any) -> Desk:
    store = FilesystemStore(folder / "data", durability="none", note_owners=True)
    locker = FileLocker(folder / "data", folder / "requests", timeout_seconds=0.2)
    return Desk(store, locker, **parts)
