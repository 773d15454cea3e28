"""Uploads: create, look, append, finish, terminate; the rules between the protocol and a store."""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from hooks.base import Hooks
from hooks.events import (
    HookEvent,
    HookName,
    HookRejected,
    RequestFacts,
    StorageFacts,
    UploadFacts,
)
from processing.sniff import HEAD_BYTES
from tusd_server.errors import (
    BadHeader,
    BodyBroken,
    BodyCut,
    OffsetMismatch,
    ReadTimedOut,
    ServerStopping,
    UploadError,
    UploadForbidden,
    UploadInterrupted,
    UploadNotFinished,
    UploadNotFound,
    UploadRefused,
    UploadTooLarge,
)
from tusd_server.info import Refusal, UploadInfo, now_utc
from tusd_server.locks import Locker
from tusd_server.storage.base import DataStore, Local, Terminates, Writer
from tusd_server.uploads.body import Body, Ending


@dataclass(frozen=True, slots=True)
class Outcome:
    """An upload after a request, and what the hooks add to the answer."""

    info: UploadInfo
    headers: Mapping[str, str] = field(default_factory=dict)


def random_id() -> str:
    """128 random bits in hexadecimal, as tusd makes them: nobody guesses another's upload."""
    return secrets.token_hex(16)


class Uploads:
    """What an upload may do next. Every method knows who is asking; others' uploads do not exist.

    All methods raise UploadError with a sentence for the client.
    """

    def __init__(
        self,
        store: DataStore,
        locker: Locker,
        hooks: Hooks,
        *,
        clock: Callable[[], datetime] = now_utc,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        """Wire the rooms together; nothing is read or written yet."""
        self.store = store
        self._locker = locker
        self._hooks = hooks
        self._clock = clock
        self._new_id = new_id

    def create(
        self,
        owner: str,
        length: int,
        metadata_header: str,
        body: Body | None,
        request: RequestFacts,
    ) -> Outcome:
        """Make an upload; with a body, take in its first bytes; of 0 bytes, finish it at once.

        When the bytes end early (a break, a timeout, a full disk), the outcome is the upload as
        it stands, so that the client learns its URL and goes on. A body that is refused leaves
        no upload behind.
        """
        _check_fits(body, 0, length)
        info = UploadInfo(
            id=self._new_id(),
            length=length,
            owner=owner,
            metadata_header=metadata_header,
            created_at=self._clock(),
        )
        with _vetoes():
            self._hooks.pre_create(self._event("pre-create", replace(info, id=""), request))
        self.store.create(info)
        self._hooks.post_create(self._event("post-create", info, request))
        if length == 0:
            return self._finish(info, request)
        if body is None:
            return Outcome(info)
        with self._locker.hold(info.id, body):
            try:
                return self._receive(info, body, request)
            except (UploadRefused, UploadTooLarge, BodyBroken):
                # The client will not learn the URL, so nobody could ever delete this upload.
                if isinstance(self.store, Terminates):
                    self.store.remove(info)
                raise
            except UploadError as error:
                if error.offset is None:
                    raise
                return Outcome(info.at(error.offset))

    def look(self, upload_id: str, owner: str) -> UploadInfo:
        """The upload as it stands, without disturbing anyone who writes it."""
        self._mine(upload_id, owner)
        self._locker.settle(upload_id)
        return self._mine(upload_id, owner)

    def append(
        self, upload_id: str, owner: str, offset: int, body: Body, request: RequestFacts
    ) -> Outcome:
        """Take in bytes from `offset` on; with the last one, finish the upload.

        Raises OffsetMismatch, UploadTooLarge, and the errors of a body that ended badly, which
        carry the offset up to which bytes were kept.
        """
        info = self._mine(upload_id, owner)
        if info.finished:
            # The client may have missed the last answer, so it is given again.
            _check_offset(info, offset)
            _check_fits(body, info.offset, info.length)
            return self._finish(info, request)
        with self._locker.hold(upload_id, body):
            info = self._mine(upload_id, owner)
            _check_offset(info, offset)
            _check_fits(body, info.offset, info.length)
            return self._receive(info, body, request)

    def finished(self, upload_id: str, owner: str) -> tuple[UploadInfo, Path]:
        """A complete upload and the file with its bytes, for a download."""
        info = self._mine(upload_id, owner)
        if not info.finished:
            raise UploadNotFinished(
                f"The upload is not complete; {info.offset} of {info.length} bytes are here."
            )
        if not isinstance(self.store, Local):
            raise UploadNotFound("There is no such upload.")
        return info, self.store.path(info)

    def terminate(self, upload_id: str, owner: str, holder: Body, request: RequestFacts) -> None:
        """Stop whoever writes the upload and forget it, bytes and all."""
        info = self._mine(upload_id, owner, even_refused=True)
        if not isinstance(self.store, Terminates):
            raise UploadNotFound("This store cannot delete uploads.")
        with _vetoes():
            self._hooks.pre_terminate(self._event("pre-terminate", info, request))
        if info.finished or info.refusal is not None:
            self.store.remove(info)
        else:
            with self._locker.hold(upload_id, holder):
                self.store.remove(info)
        self._hooks.post_terminate(self._event("post-terminate", info, request))

    def _mine(self, upload_id: str, owner: str, *, even_refused: bool = False) -> UploadInfo:
        info = self.store.look(upload_id)
        if info.owner != owner:
            raise UploadNotFound("There is no such upload.")
        if info.refusal is not None and not even_refused:
            raise UploadRefused(info.refusal.message, code=info.refusal.code)
        return info

    def _receive(self, info: UploadInfo, body: Body, request: RequestFacts) -> Outcome:
        """Take in the body under the upload's lock."""
        with self.store.writer(info) as writer:
            self._write(info, body, writer, request)
            if body.ending is Ending.OVERRUN:
                writer.cut(info.offset)
                raise UploadTooLarge(
                    f"The body goes on beyond Upload-Length {info.length}; none of it is kept.",
                    offset=info.offset,
                )
            writer.sync()
            now = info.at(writer.offset)
        if now.finished:
            return self._finish(now, request)
        _check_ending(body.ending, now)
        return Outcome(now)

    def _write(self, info: UploadInfo, body: Body, writer: Writer, request: RequestFacts) -> None:
        # The content is judged once, when its first bytes are in: a wrong file is refused after
        # 4 KiB, not after 500 MB.
        threshold = min(HEAD_BYTES, info.length)
        unseen = info.offset < threshold
        for view in body.chunks(info.length - info.offset):
            writer.write(view)
            if unseen and writer.offset >= threshold:
                unseen = False
                self._judge(info, writer.head(HEAD_BYTES), request)

    def _judge(self, info: UploadInfo, head: bytes, request: RequestFacts) -> None:
        try:
            with _vetoes():
                self._hooks.first_bytes(self._event("first-bytes", info, request), head)
        except UploadRefused as refused:
            self.store.refuse(info, Refusal(refused.code, refused.message))
            raise

    def _finish(self, info: UploadInfo, request: RequestFacts) -> Outcome:
        """Make the complete upload durable, then hand it over; both may be done again."""
        self.store.finish(info)
        with _vetoes():
            self._hooks.pre_finish(self._event("pre-finish", info, request))
        reply = self._hooks.post_finish(self._event("post-finish", info, request))
        return Outcome(info, reply.headers)

    def _event(self, name: HookName, info: UploadInfo, request: RequestFacts) -> HookEvent:
        return HookEvent(name, facts_of(info, self.store), request)


def facts_of(info: UploadInfo, store: DataStore) -> UploadFacts:
    """What the hooks are told of an upload."""
    storage = None
    if isinstance(store, Local) and info.id:
        path, info_path = store.path(info), store.info_path(info)
        storage = StorageFacts("filestore", str(path), str(info_path))
    return UploadFacts(
        id=info.id,
        size=info.length,
        offset=info.offset,
        owner=info.owner,
        created_at=info.created_at or now_utc(),
        metadata=info.metadata.to_text(),
        storage=storage,
    )


@contextlib.contextmanager
def _vetoes() -> Iterator[None]:
    """Turn a hook's veto into the error that answers it."""
    try:
        yield
    except HookRejected as rejected:
        if rejected.kind == "content":
            raise UploadRefused(rejected.message, code=rejected.code) from rejected
        error = UploadForbidden if rejected.kind == "forbidden" else BadHeader
        raise error(rejected.message) from rejected


def _check_offset(info: UploadInfo, offset: int) -> None:
    if offset != info.offset:
        raise OffsetMismatch(
            f"Upload-Offset is {offset}; the upload stands at {info.offset}.", offset=info.offset
        )


def _check_fits(body: Body | None, offset: int, length: int) -> None:
    if body is not None and body.length is not None and body.length > length - offset:
        raise UploadTooLarge(
            f"The body has {body.length} bytes; only {length - offset} are missing "
            f"to Upload-Length {length}.",
            offset=offset,
        )


_BAD_ENDINGS: dict[Ending, tuple[type[UploadError], str]] = {
    Ending.DISCONNECTED: (BodyCut, "The connection ended before the body did"),
    Ending.TIMED_OUT: (ReadTimedOut, "No byte came for too long"),
    Ending.TAKEN_OVER: (UploadInterrupted, "A newer request for this upload took over"),
    Ending.STOPPING: (ServerStopping, "The server is stopping, try again"),
    Ending.BROKEN: (BodyBroken, "The body's chunked framing is broken"),
}


def _check_ending(ending: Ending | None, info: UploadInfo) -> None:
    if ending in _BAD_ENDINGS:
        error, sentence = _BAD_ENDINGS[ending]
        raise error(
            f"{sentence}; the {info.offset} bytes up to Upload-Offset are kept.",
            offset=info.offset,
        )
