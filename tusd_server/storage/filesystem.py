"""The local store: one data file and one `.info` file for each upload, laid out as tusd does.

Two rules make it safe against crashes. The offset is the data file's size, so the two can never
disagree; of an upload in chunks, whose file has holes, a note tells what is here. An info file
is written under a temporary name and renamed, so it is old or new, never half. docs/storage.md
walks through every crash.

    <root>/<id>                      bytes
    <root>/<id>.info                 facts
    <state>/finished/<2>/<id>.info   facts of an upload whose bytes were handed over
    <state>/unverified/<id>          the offset up to which bytes count, during a checksummed body
    <state>/chunks/<id>              which bytes of an upload in chunks are here
    <state>/awaited/<id>/<final>     `final` waits for the part `id`
    <state>/keys/<digest>            the upload that an Idempotency-Key stands for
    <state>/owners/<digest>/<id>     an upload that its owner has under way, where quotas ask
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tusd_server.errors import StorageFull, UploadGone, UploadNotFound
from tusd_server.info import Refusal, UploadInfo, check_id, is_id
from tusd_server.settings import Durability
from tusd_server.storage.base import ChunkWriter, Writer
from tusd_server.storage.chunks import FileChunkWriter, knows_boots, new_note, read_note
from tusd_server.storage.files import (
    FULL,
    Offload,
    Pause,
    directly,
    join_files,
    locked,
    paced,
    read_file,
    reserve,
    sync_path,
    unlink,
    without_pause,
    write_file,
)
from tusd_server.storage.received import Received
from tusd_server.storage.runs import RunWriter
from tusd_server.storage.writer import FileWriter

_LEFT_BEHIND = re.compile(
    r"[0-9a-f]{32}(\.lock|\.stop)?|\.[0-9a-f]{32}(\.info\.new|\.joined)", re.ASCII
)
_INFO = re.compile(r"[0-9a-f]{32}\.info", re.ASCII)
_NO_ROOM = "The disk has no room for an upload of this length."
_NOT_FOUND = "There is no such upload."


class FilesystemStore:
    """Uploads in one directory; has every ability of `storage.base`."""

    def __init__(
        self,
        root: Path,
        state: Path | None = None,
        *,
        durability: Durability = "finish",
        offload: Offload = directly,
        pause: Pause = without_pause,
        note_owners: bool = False,
        prepare: bool = True,
    ) -> None:
        """`state` is for the store's own notes, by default a folder in `root`.

        `note_owners` keeps the notes that `unfinished_of` needs. Without `prepare` no folder is
        made, for whoever only looks.

        `offload` runs calls that block on the disk, such as fdatasync, off the event loop.
        Walks through all uploads call `pause` now and then, for others to run.
        """
        self.root = root.absolute()
        self._base = str(self.root) + os.sep
        self._state = (state or root / ".tusd-server").absolute()
        self._unverified = str(self._state / "unverified") + os.sep
        self._chunks = str(self._state / "chunks") + os.sep
        self._durability = durability
        # Where boots cannot be told apart, a note counts only if it was synced.
        self._sync_chunks = durability == "chunk" or (durability == "finish" and not knows_boots())
        self._offload = offload
        self._pause = pause
        self._note_owners = note_owners
        notes = ("unverified", "chunks", "awaited", "keys", "owners")
        for folder in (self.root, *(self._state / name for name in notes)) if prepare else ():
            folder.mkdir(parents=True, exist_ok=True)

    def create(self, info: UploadInfo) -> None:
        """See DataStore. The data file comes first: without its info file it does not exist."""
        data = self._data(info.id)
        with _told_when_full(_NO_ROOM):
            # An id that is taken is an error, and the file of that name not ours to remove.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(data, flags, 0o664)
            try:
                self._fill_in(info, descriptor)
            except OSError:
                unlink(data)
                unlink(data + ".info")
                unlink(self._chunks + info.id)
                raise
            finally:
                os.close(descriptor)

    def look(self, upload_id: str) -> UploadInfo:
        """See DataStore."""
        data = self._data(check_id(upload_id))
        info = self._read(data + ".info")
        if info is None:
            return self._handed_over(upload_id)
        if info.refusal is not None:
            return info
        try:
            facts, offset = self._stand(info, data)
        except FileNotFoundError:
            # In the middle of a hand-over the bytes have moved, and these facts are the old ones.
            archived = self._read(self._archived(upload_id)) if info.path is None else info
            if archived is not None:
                return self._complete(archived)
            raise UploadGone("The upload has expired; begin a new one.") from None
        return replace(
            info,
            offset=offset,
            touched_at=datetime.fromtimestamp(facts.st_mtime, UTC),
        )

    def update(self, info: UploadInfo) -> None:
        """See DataStore."""
        if info.length and not info.final:
            with _told_when_full(_NO_ROOM):
                self._reserve_again(info.id, info.length)
        with _told_when_full("The disk has no room for the upload's facts."):
            self._write_info(info, sync=self._durability == "chunk")
            self._note_owner(info)

    @contextlib.contextmanager
    def writer(self, info: UploadInfo) -> Iterator[Writer]:
        """See DataStore."""
        if info.in_chunks:
            with self.chunk_writer(info) as places:
                yield RunWriter(places, self.received(info), info.offset)
            return
        with self._opened(info) as descriptor:
            writer = FileWriter(
                descriptor,
                info.offset,
                length=info.length or 0,
                note=self._unverified + info.id,
                durability=self._durability,
                offload=self._offload,
            )
            # A crash may have left bytes that no checksum has vouched for.
            if os.path.exists(self._unverified + info.id):
                writer.cut(info.offset)
            yield writer

    def finish(self, info: UploadInfo) -> None:
        """See DataStore."""
        if self._durability == "none":
            return
        data = self._data(info.id)

        def sync() -> None:
            for path in (data, data + ".info", self.root):
                sync_path(path)

        with contextlib.suppress(FileNotFoundError):  # handed over, hence durable, already
            self._offload(sync)

    def refuse(self, info: UploadInfo, refusal: Refusal) -> None:
        """See DataStore. The refusal is written first: no crash makes the upload resumable."""
        self._write_info(replace(info, refusal=refusal), sync=self._durability != "none")
        self._drop_bytes(info)
        unlink(self._archived(info.id))

    def remove(self, info: UploadInfo) -> None:
        """See Terminates. The info file goes first: without it the upload does not exist."""
        unlink(self._data(info.id) + ".info")
        unlink(self._archived(info.id))
        self._drop_bytes(info)

    def expire(self, info: UploadInfo) -> None:
        """See Expires. An info file without bytes is how `look` knows; its time starts now."""
        self._drop_bytes(info)
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._data(info.id) + ".info")

    def forget(self, *, gone_since: datetime, finished_since: datetime) -> int:
        """See Expires."""
        forgotten = 0
        for info in self.all(even_gone=True):
            info_path = self._data(info.id) + ".info"
            gone = info.refusal is not None or not os.path.exists(self._data(info.id))
            if gone and info.path is None:
                forgotten += _unlink_older(info_path, gone_since)
        for path in self._notes("finished", "??/*.info"):
            forgotten += _unlink_older(str(path), finished_since)
        for path in self._notes("finished", "??/*.new"):  # a crash in `hand_over`
            _unlink_older(str(path), gone_since)
        for path in self._notes("keys", "*"):
            _unlink_older(str(path), finished_since)
        self._drop_stray_notes()
        return forgotten

    def concatenate(self, info: UploadInfo, parts: Sequence[UploadInfo]) -> None:
        """See Concatenates. Joined under another name and renamed: all bytes or none."""
        data = self._data(info.id)
        joined = f"{self._base}.{info.id}.joined"
        sources = [self._data(part.id) for part in parts]

        def join() -> None:
            join_files(sources, joined, sync=self._durability != "none")
            os.rename(joined, data)

        with _told_when_full("The disk has no room to join the parts."):
            try:
                self._offload(join)
            except OSError:
                unlink(joined)
                raise

    def received(self, info: UploadInfo) -> Received:
        """See TakesChunks."""
        try:
            return read_note(read_file(self._chunks + check_id(info.id)), info)
        except FileNotFoundError:  # lost with the machine's power, or the upload is gone
            return read_note(b"", info)

    @contextlib.contextmanager
    def chunk_writer(self, info: UploadInfo) -> Iterator[ChunkWriter]:
        """See TakesChunks."""
        with self._opened(info) as data:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            with _told_when_full("The disk has no room to note which bytes are here."):
                note = os.open(self._chunks + info.id, flags, 0o664)
            try:
                yield FileChunkWriter(
                    data, note, info, sync=self._sync_chunks, offload=self._offload
                )
            finally:
                os.close(note)

    def complete(self, info: UploadInfo) -> UploadInfo:
        """See TakesChunks. The bytes are durable before the facts say that all of them are here.

        The note stays until the bytes go: somebody may be looking with the old facts.
        """
        whole = replace(info, chunks_complete=True).at(info.length or 0)
        durable = self._durability != "none"
        if durable:
            self._offload(lambda: sync_path(self._data(info.id)))
        with _told_when_full("The disk has no room for the upload's facts."):
            self._write_info(whole, sync=durable)
        return whole

    def await_part(self, part: UploadInfo, info: UploadInfo) -> None:
        """See Concatenates."""
        folder = self._state / "awaited" / check_id(part.id)
        with _told_when_full("The disk has no room to remember which parts are missing."):
            folder.mkdir(exist_ok=True)
            (folder / check_id(info.id)).touch()

    def awaiting(self, part: UploadInfo) -> Sequence[str]:
        """See Concatenates."""
        try:
            return sorted(filter(is_id, os.listdir(self._state / "awaited" / check_id(part.id))))
        except FileNotFoundError:
            return ()

    def made_with_key(self, owner: str, key: str) -> str | None:
        """See RemembersKeys."""
        try:
            return self._key_path(owner, key).read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def claim_key(self, owner: str, key: str, upload_id: str, instead_of: str | None) -> str:
        """See RemembersKeys. Under a lock, so that of equal requests at once one is first."""
        path = self._key_path(owner, key)
        fresh = path.with_name(f".{upload_id}")
        full = _told_when_full("The disk has no room to remember the Idempotency-Key.")
        with _locked(path.parent), full:
            holder = self.made_with_key(owner, key)
            if holder is not None and holder != instead_of:
                return holder
            fresh.write_text(upload_id, encoding="ascii")
            fresh.rename(path)
        return upload_id

    def unfinished_of(self, owner: str) -> Sequence[UploadInfo]:
        """See KnowsOwners. Notes of what is a file or gone by now are dropped on the way."""
        folder = self._owner_folder(owner)
        found = []
        with contextlib.suppress(FileNotFoundError):
            for upload_id in filter(is_id, os.listdir(folder)):
                info = self._under_way(upload_id)
                if info is None:
                    unlink(str(folder / upload_id))
                else:
                    found.append(info)
        return found

    def path(self, info: UploadInfo) -> Path:
        """See Local. Between the steps of a hand-over the old place is still right."""
        if info.path is not None and os.path.exists(info.path):
            return Path(info.path)
        return Path(self._data(info.id))

    def places(self, info: UploadInfo) -> tuple[str, str]:
        """See Local."""
        data = self._data(info.id)
        if info.path is not None:
            return info.path, self._archived(info.id)
        return data, data + ".info"

    def hand_over(self, info: UploadInfo, destination: Path) -> None:
        """See Local. The facts with the new place, then the bytes, then the old facts.

        Before the second step `look` finds bytes and facts in the old place, after it only
        facts: the archived ones are the truth.
        """
        destination.parent.mkdir(parents=True, exist_ok=True)
        durable = self._durability != "none"
        archived = self._archived(info.id)
        os.makedirs(os.path.dirname(archived), exist_ok=True)
        data = self._data(info.id)
        document = replace(info, path=self._relative(destination)).to_json(data).encode()
        write_file(archived, f"{archived}.new", document, sync=durable)
        with contextlib.suppress(FileNotFoundError):  # an earlier call has moved it
            os.rename(data, destination)
        if not destination.exists():
            unlink(archived)
            unlink(data + ".info")
            raise UploadNotFound("The upload was deleted before its bytes could be moved.")
        if durable:
            sync_path(destination.parent)
        unlink(data + ".info")
        self._drop_chunk_note(info)

    def all(self, *, even_gone: bool = False) -> Iterator[UploadInfo]:
        """See DataStore; with `even_gone` also those whose bytes expired."""
        with os.scandir(self.root) as entries:
            names = [entry.name for entry in paced(entries, self._pause)]
        ids = (name[:-5] for name in names if name.endswith(".info"))
        for upload_id in paced(filter(is_id, ids), self._pause):
            try:
                yield self.look(upload_id)
            except UploadGone:
                info = self._read(self._data(upload_id) + ".info")
                if even_gone and info is not None:
                    yield info
            except UploadNotFound:
                continue

    def orphans(self, older_than_seconds: float = 3600.0) -> Iterator[Path]:
        """Files that belong to no upload and have not been touched for a while.

        Data without facts (a crash in `create`), facts that a power cut left unreadable,
        temporary names, and tusd's lock files: only names that uploads give, so that nobody's
        own file is ever taken for one.
        """
        oldest = time.time() - older_than_seconds
        with os.scandir(self.root) as entries:
            listed = paced(entries, self._pause)
            files = [entry for entry in listed if entry.is_file(follow_symlinks=False)]
        for entry in paced(files, self._pause):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < oldest and self._belongs_to_none(entry.name):
                    yield self.root / entry.name

    def handed_over(self) -> Iterator[UploadInfo]:
        """Every upload whose bytes were moved to their final place and are still there."""
        for path in self._notes("finished", "??/*.info"):
            with contextlib.suppress(UploadNotFound, UploadGone):
                yield self._handed_over(path.stem)

    def _notes(self, folder: str, pattern: str) -> Iterator[Path]:
        return paced((self._state / folder).glob(pattern), self._pause)

    def _belongs_to_none(self, name: str) -> bool:
        # The disk is asked, not the listing: that may miss a file which was just replaced.
        if _INFO.fullmatch(name):
            return self._read(self._base + name) is None
        return (
            _LEFT_BEHIND.fullmatch(name) is not None
            and self._read(f"{self._base}{name}.info") is None
        )

    def _fill_in(self, info: UploadInfo, descriptor: int) -> None:
        if info.length and not info.final:
            reserve(descriptor, info.length)
        if info.in_chunks:
            self._write_chunk_note(info)
        self._write_info(info, sync=self._durability == "chunk")
        self._note_owner(info)

    def _write_chunk_note(self, info: UploadInfo) -> None:
        with open(self._chunks + info.id, "wb") as note:
            note.write(new_note(info))

    def _drop_chunk_note(self, info: UploadInfo) -> None:
        if info.chunk_size is not None:
            unlink(self._chunks + info.id)

    @contextlib.contextmanager
    def _opened(self, info: UploadInfo) -> Iterator[int]:
        try:
            descriptor = os.open(self._data(info.id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UploadNotFound(_NOT_FOUND) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _reserve_again(self, upload_id: str, length: int) -> None:
        """Reserve room for an upload whose length is known only now."""
        descriptor = os.open(self._data(upload_id), os.O_WRONLY | os.O_CLOEXEC)
        try:
            reserve(descriptor, length)
        finally:
            os.close(descriptor)

    def _note_owner(self, info: UploadInfo) -> None:
        if self._note_owners and info.owner is not None:
            folder = self._owner_folder(info.owner)
            folder.mkdir(exist_ok=True)
            (folder / info.id).touch()

    def _key_path(self, owner: str, key: str) -> Path:
        digest = hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()
        return self._state / "keys" / digest

    def _owner_folder(self, owner: str) -> Path:
        return self._state / "owners" / hashlib.sha256(owner.encode()).hexdigest()[:32]

    def _under_way(self, upload_id: str) -> UploadInfo | None:
        try:
            info = self.look(upload_id)
        except (UploadGone, UploadNotFound):
            return None
        is_file = info.finished and not info.partial
        return None if is_file or info.refusal is not None else info

    def _data(self, upload_id: str) -> str:
        """The one place where an id becomes a path; anything that is no plain id is refused."""
        return self._base + check_id(upload_id)

    def _archived(self, upload_id: str) -> str:
        """Where the facts of a handed-over upload lie, away from the directory of the living."""
        upload_id = check_id(upload_id)
        return str(self._state / "finished" / upload_id[:2] / f"{upload_id}.info")

    def _handed_over(self, upload_id: str) -> UploadInfo:
        info = self._read(self._archived(upload_id))
        if info is None:
            raise UploadNotFound(_NOT_FOUND)
        return self._complete(info)

    def _read(self, path: str) -> UploadInfo | None:
        """An info file, its relative path made whole: the data directory may have moved."""
        info = _read_info(path)
        if info is None or info.path is None:
            return info
        return replace(info, path=os.path.join(self._base, info.path))

    def _relative(self, destination: Path) -> str:
        if destination.is_relative_to(self.root):
            return str(destination.relative_to(self.root))
        return str(destination)

    def _complete(self, info: UploadInfo) -> UploadInfo:
        if info.path is None or not os.path.exists(info.path):
            raise UploadGone("The upload is complete and its bytes have been deleted.")
        return info.at(info.length or 0)

    def _stand(self, info: UploadInfo, data: str) -> tuple[os.stat_result, int]:
        """The data file's facts, and how many of its bytes count.

        Looked at on both sides of the other: a note and the bytes that it warns of come and go
        while we look, and no order of two looks is right for both.
        """
        if info.in_chunks:
            # The note first, as it goes after the bytes: where these are, it was there.
            received = self.received(info)
            return os.stat(data), received.offset
        before = os.stat(data).st_size
        trusted = self._trusted(info.id, before)
        facts = os.stat(data)
        return facts, min(before, trusted, facts.st_size, self._trusted(info.id, before))

    def _trusted(self, upload_id: str, size: int) -> int:
        try:
            return int(read_file(self._unverified + upload_id) or size)
        except FileNotFoundError:
            return size

    def _drop_bytes(self, info: UploadInfo) -> None:
        unlink(self._data(info.id))
        unlink(self._unverified + info.id)
        self._drop_chunk_note(info)
        if info.path is not None:
            unlink(info.path)
        self._drop_awaited(info.id)

    def _drop_awaited(self, upload_id: str) -> None:
        folder = self._state / "awaited" / upload_id
        with contextlib.suppress(FileNotFoundError):
            for final in os.listdir(folder):
                unlink(str(folder / final))
            # Not empty where somebody has just begun to wait.
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _drop_stray_notes(self) -> None:
        """Delete what a crash in the middle of `_drop_bytes` left."""
        for notes in (self._unverified, self._chunks):
            for name in filter(is_id, os.listdir(notes)):
                if not os.path.exists(self._data(name)):
                    unlink(notes + name)
        for name in filter(is_id, os.listdir(self._state / "awaited")):
            if not os.path.exists(self._data(name)):
                self._drop_awaited(name)

    def _write_info(self, info: UploadInfo, *, sync: bool) -> None:
        data = self._data(info.id)
        # One temporary name is enough: whoever writes an info file holds the upload's lock, or
        # is the only one to know its id. A leading dot keeps it out of `all`.
        temporary = f"{self._base}.{info.id}.info.new"
        document = info.to_json(data).encode()
        if sync:
            self._offload(lambda: write_file(data + ".info", temporary, document, sync=True))
        else:
            write_file(data + ".info", temporary, document, sync=False)


def _read_info(path: str) -> UploadInfo | None:
    try:
        return UploadInfo.from_json(read_file(path))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told_when_full(sentence: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(sentence) from error
        raise


def _unlink_older(path: str, moment: datetime) -> int:
    try:
        if os.stat(path).st_mtime >= moment.timestamp():
            return 0
        os.unlink(path)
    except FileNotFoundError:
        return 0
    return 1
