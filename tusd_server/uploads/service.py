"""Uploads: create, look, append, finish, terminate; the rules between the protocol and a store."""

import contextlib
import io
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from hooks.base import Hooks
from hooks.events import (
    NO_REPLY,
    CreateReply,
    HookEvent,
    HookName,
    HookRejected,
    HookReply,
    RequestFacts,
    Stop,
)
from processing.medium import is_wanted_place
from tusd_server.errors import (
    BadHeader,
    BodyBroken,
    ChecksumMismatch,
    FinalUpload,
    HookFailed,
    QuotaExceeded,
    UnknownChecksum,
    UploadError,
    UploadGone,
    UploadNotFinished,
    UploadNotFound,
    UploadRefused,
    UploadRejected,
    UploadTooLarge,
)
from tusd_server.info import UploadInfo, is_id, now_utc
from tusd_server.locks import Locker
from tusd_server.metadata import Metadata
from tusd_server.storage.base import DataStore, Expires, Local, RemembersKeys, Terminates
from tusd_server.uploads.body import Body, PortableBody
from tusd_server.uploads.digests import Digests
from tusd_server.uploads.facts import facts_of
from tusd_server.uploads.joining import Bystander, Joining
from tusd_server.uploads.quotas import Quotas
from tusd_server.uploads.receiving import Proof, Receiver, check_fits
from tusd_server.uploads.vetoes import (
    error_of,
    hook_failure,
    hook_failures,
    refusal_of,
    stopped,
    vetoes,
)
from tusd_server.uploads.watching import PROGRESS_SECONDS, Watch

log = logging.getLogger("tusd_server.uploads")

NO_PROOF = Proof()
NOTHING_SAID = Metadata()
# After these a creation with bytes is not to be resumed: its client did it wrong.
_NOT_TO_RESUME = (
    UploadTooLarge,
    QuotaExceeded,
    BodyBroken,
    ChecksumMismatch,
    UnknownChecksum,
    BadHeader,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A creation that the protocol has found well-formed; see CreateRequest."""

    length: int | None
    metadata_header: str = ""
    sha256: str | None = None
    proof: Proof = NO_PROOF
    concat: str | None = None
    partial: bool = False
    parts: tuple[str, ...] = ()
    key: str | None = None
    chunk_size: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An upload after a request, when it expires, and what the hooks make of the answer.

    Without `status` and `body` the answer is the usual one.
    """

    info: UploadInfo
    expires: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    body: str = ""


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
        max_size: int,
        expire_after: timedelta | None = None,
        quotas: Quotas | None = None,
        announce: Callable[[HookEvent], None] = lambda _: None,
        taken: Callable[[str], bool] = lambda _: False,
        progress_seconds: float = PROGRESS_SECONDS,
        clock: Callable[[], datetime] = now_utc,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        """Wire the rooms together; nothing is read or written yet.

        `max_size` bounds an upload in bytes, `expire_after` the time without new bytes.
        `announce` is told what has happened, or will have in a moment, and keeps it. `taken`
        knows the ids that are not free though the store has no upload of that name. Hooks hear
        of progress every `progress_seconds`.
        """
        self.store = store
        self.locker = locker
        self.max_size = max_size
        self._local = store if isinstance(store, Local) else None
        self._hooks = hooks
        self._quotas = quotas
        self._announce = announce
        self._taken = taken
        self._clock = clock
        self._new_id = new_id
        self._expire_after = expire_after if isinstance(store, Expires) else None
        self.receiver = Receiver(store, Digests(), max_size, self.judge, self._grow)
        self._joining = Joining(store, locker, self.receiver, max_size)
        self.watch = Watch(hooks, self._event, self._stop_late, progress_seconds)

    def create(
        self, owner: str, wanted: Wanted, body: Body | None, request: RequestFacts
    ) -> Outcome:
        """Make an upload; with a body, take in its first bytes; of 0 bytes, finish it at once.

        When the bytes end early (a break, a timeout, a full disk), the outcome is the upload as
        it stands, so that the client learns its URL and goes on. A body that is refused leaves
        no upload behind. A key that this owner has used before gives that upload again.
        """
        check_fits(body, 0, self._limit(wanted.length))
        if wanted.partial or wanted.parts:
            self._joining.check_possible()
        seen = self._seen(owner, wanted.key)
        if isinstance(seen, UploadInfo):
            return self._outcome(seen)
        info = UploadInfo(
            id=self._new_id(),
            length=wanted.length,
            owner=owner,
            metadata_header=wanted.metadata_header,
            created_at=self._clock(),
            touched_at=self._clock(),
            concat=wanted.concat,
            partial=wanted.partial,
            parts=wanted.parts,
            sha256=wanted.sha256,
            chunk_size=wanted.chunk_size,
            chunks_complete=wanted.chunk_size is not None and wanted.length == 0,
        )
        parts = [self._mine(part, owner) for part in info.parts]
        info = replace(info, length=self._joining.length(parts)) if parts else info
        if self._quotas is not None:
            announced = body.length if body is not None and info.length is None else info.length
            self._quotas.check(owner, announced, parts)
        with vetoes():
            asked = self._event("pre-create", replace(info, id=""), request)
            change = self._hooks.pre_create(asked) or CreateReply()
        info = self._changed(info, change)
        self._create(info, chosen=change.id is not None)
        first = self._claim_key(info, wanted.key, instead_of=seen)
        if first != info.id:
            return self._outcome(self._mine(first, owner))
        created = self._event("post-create", info, request)
        self._announce(created)
        self._hooks.post_create(created)
        if parts:
            outcome = self._begin_joining(info, parts, request)
        elif body is None and info.length != 0:
            outcome = self._outcome(info)
        else:
            # No bytes are all bytes of an empty file, and are verified like any others.
            body = body or PortableBody(io.BytesIO(), 0)
            outcome = self._take_first_bytes(info, body, wanted.proof, request)
        return _replying(outcome, change.reply)

    def look(self, upload_id: str, owner: str, request: RequestFacts) -> Outcome:
        """The upload as it stands, without disturbing anyone who writes it."""
        info = self._mine(upload_id, owner)
        if info.final and not info.finished:
            self._join(info, request)
            info = self._mine(upload_id, owner)
        elif self.locker.settle(upload_id):
            info = self._mine(upload_id, owner)
        if self._to_be_asked(info):
            # A client takes a complete upload for a success, and the hooks may still refuse it.
            self._finish(info, request)
            info = self._mine(upload_id, owner)
        if info.length is None and info.final:
            info = self._joining.measured(info)
        return self._outcome(info)

    def append(
        self,
        upload_id: str,
        owner: str,
        offset: int,
        body: Body,
        request: RequestFacts,
        *,
        length: int | None = None,
        metadata: Metadata = NOTHING_SAID,
        proof: Proof = NO_PROOF,
    ) -> Outcome:
        """Take in bytes from `offset` on; with the last one, finish the upload.

        `length` tells the length of an upload for which it was deferred, `metadata` what nobody
        has said of the file before; they are kept together. Raises OffsetMismatch,
        UploadTooLarge, ChecksumMismatch, QuotaExceeded, and the errors of a body that ended
        badly, which carry the offset up to which bytes were kept.
        """
        if self._mine(upload_id, owner).final:
            raise FinalUpload("This upload is made of others; it takes no bytes of its own.")
        try:
            with self.locker.hold(upload_id, body):
                info = self._mine(upload_id, owner)
                with self._telling_expiry(info):
                    self.receiver.check(info, offset, length, body)
                    if not info.finished:
                        settled = _settled(info, owner, length, metadata)
                        info = self._take_in(info, settled, body, proof, request)
        except UploadNotFound:
            # Handed over in between, perhaps: then there is nothing left to lock.
            info = self._mine(upload_id, owner)
            if not info.finished:
                raise
            self.receiver.check(info, offset, length, body)
        # A finished upload is finished again: the client may have missed the last answer.
        return self._finish(info, request) if info.finished else self._outcome(info)

    def finished(self, upload_id: str, owner: str) -> tuple[UploadInfo, Path]:
        """A complete upload and the file with its bytes, for a download."""
        info = self._mine(upload_id, owner)
        if not info.finished:
            raise UploadNotFinished(
                f"The upload is not complete; {info.offset} of "
                f"{'an unknown number of' if info.length is None else info.length} bytes are here."
            )
        if self._local is None:
            raise UploadNotFound("There is no such upload.")
        return info, self._local.path(info)

    def terminate(self, upload_id: str, owner: str, holder: Body, request: RequestFacts) -> Outcome:
        """Stop whoever writes the upload and forget it, bytes and all."""
        info = self._mine(upload_id, owner, even_refused=True)
        if not isinstance(self.store, Terminates):
            raise UploadNotFound("This store cannot delete uploads.")
        with vetoes():
            reply = self._hooks.pre_terminate(self._event("pre-terminate", info, request))
        if info.finished or info.refusal is not None:
            self._remove(info, request)
        else:
            with self.locker.hold(upload_id, holder):
                self._remove(info, request)
        return _replying(Outcome(info), reply or NO_REPLY)

    def stand(self, upload_id: str, owner: str) -> UploadInfo:
        """The upload as it stands now, for work on it; raises as every method does."""
        return self._mine(upload_id, owner)

    def finish_again(self, info: UploadInfo, request: RequestFacts) -> Outcome:
        """Finish a complete upload, whether or not that was done before.

        Not under its lock. Raises UploadRefused when a hook refuses it for good.
        """
        return self._finish(info, request)

    def recover(self, upload_id: str) -> None:
        """Finish an upload that a crash left complete, though nobody was told of it.

        Raises UploadError, HookFailed above all.
        """
        info = self.store.look(upload_id)
        if info.refusal is None:
            self._finish(info, RequestFacts("", "", ""))

    def refuse(self, info: UploadInfo, refused: UploadRefused) -> UploadError:
        """Remember a refusal and drop the bytes, under the lock; the error that answers it."""
        return self._refuse(info, refused)

    def stop(self, info: UploadInfo, stop: Stop, request: RequestFacts) -> UploadError:
        """End an upload for a hook, unless it is complete by now; the error that says so."""
        with self.locker.hold(info.id, Bystander()):
            info = self.store.look(info.id)
            if info.finished or info.refusal is not None:
                return stopped(stop)
            return self._stop(info, stop, request)

    def join_again(self, info: UploadInfo) -> None:
        """Join an upload that a crash left unjoined; whatever is wrong with it is logged."""
        try:
            self._join(info, RequestFacts("", "", ""))
        except UploadError as error:
            log.warning("upload %s could not be joined: %s", info.id, error)

    def expires(self, info: UploadInfo) -> datetime | None:
        """When the upload will be forgotten unless bytes come; None for a complete file.

        A part of a concatenation expires even when it is complete: alone it is no file. What
        tusd left behind, which never expires there, does so once its first user has it.
        """
        if self._expire_after is None or info.touched_at is None or info.owner is None:
            return None
        if info.finished and not info.partial:
            return None
        return info.touched_at + self._expire_after

    @contextlib.contextmanager
    def _telling_expiry(self, info: UploadInfo) -> Iterator[None]:
        """Let an error from which the upload goes on say when it expires.

        "This header MUST be included in every PATCH response if the upload is going to expire."
        """
        try:
            yield
        except UploadError as error:
            if error.offset is not None:
                received = error.offset != info.offset
                touched_at = self._clock() if received else info.touched_at
                error.expires = self.expires(replace(info, touched_at=touched_at))
            raise

    def _mine(self, upload_id: str, owner: str, *, even_refused: bool = False) -> UploadInfo:
        info = self.store.look(upload_id)
        if info.owner not in (owner, None):
            raise UploadNotFound("There is no such upload.")
        if info.refusal is not None and not even_refused:
            raise error_of(info.refusal)
        expires = self.expires(info)
        if expires is not None and expires < self._clock():
            raise UploadGone("The upload has expired; begin a new one.")
        return info

    def _changed(self, info: UploadInfo, change: CreateReply) -> UploadInfo:
        """The upload as the hooks want it; HookFailed when it cannot be."""
        if change.id is not None:
            self._check_free(change.id)
            info = replace(info, id=change.id)
        if change.metadata is not None:
            info = replace(info, metadata_header=Metadata.from_text(change.metadata).to_header())
        if change.place is not None and not is_wanted_place(change.place):
            raise hook_failure(f"A hook wants a medium at {change.place[:100]!r}, no plain path.")
        return replace(info, place=change.place)

    def _check_free(self, upload_id: str) -> None:
        if not is_id(upload_id):
            sentence = "must be 1 to 128 letters, digits, `-` and `_`, a letter or digit first"
            raise hook_failure(
                f"A hook wants the id {upload_id[:200]!r} for an upload; it {sentence}."
            )
        try:
            self.store.look(upload_id)
        except UploadNotFound:
            if not self._taken(upload_id):
                return
        except UploadGone:
            pass
        raise hook_failure(f"A hook wants the id {upload_id!r}, which another upload has or had.")

    def _create(self, info: UploadInfo, *, chosen: bool) -> None:
        try:
            self.store.create(info)
        except FileExistsError:
            if not chosen:
                raise
            raise hook_failure(f"A hook wants the id {info.id!r} for two uploads.") from None

    def _remove(self, info: UploadInfo, request: RequestFacts) -> None:
        """Forget an upload for good, and tell so."""
        removed = self._event("post-terminate", info, request)
        # Kept before it is true: a crash behind the removal would leave nobody who could tell.
        self._announce(removed)
        if isinstance(self.store, Terminates):
            self.store.remove(info)
        self._hooks.post_terminate(removed)

    def _limit(self, length: int | None) -> int:
        return self.max_size if length is None else length

    def _outcome(self, info: UploadInfo, headers: Mapping[str, str] | None = None) -> Outcome:
        return Outcome(info, self.expires(info), headers or {})

    def _seen(self, owner: str, key: str | None) -> UploadInfo | str | None:
        """What this key made before: the upload, its id if it is gone, None if nothing."""
        if key is None or not isinstance(self.store, RemembersKeys):
            return None
        upload_id = self.store.made_with_key(owner, key)
        if upload_id is None:
            return None
        try:
            return self._mine(upload_id, owner)
        except (UploadNotFound, UploadGone):
            return upload_id

    def _claim_key(self, info: UploadInfo, key: str | None, *, instead_of: str | None) -> str:
        """The upload that the key stands for; of two equal creations at once one is undone."""
        if key is None or not isinstance(self.store, RemembersKeys):
            return info.id
        first = self.store.claim_key(info.owner or "", key, info.id, instead_of)
        if first != info.id and isinstance(self.store, Terminates):
            self.store.remove(info)
        return first

    def _take_first_bytes(
        self, info: UploadInfo, body: Body, proof: Proof, request: RequestFacts
    ) -> Outcome:
        try:
            with self.locker.hold(info.id, body):
                info = self._receive(info, body, proof, request)
        except UploadError as error:
            if error.offset is not None and not isinstance(error, _NOT_TO_RESUME):
                return self._outcome(info.at(error.offset))
            self._undo(info)
            raise
        try:
            return self._finish(info, request) if info.finished else self._outcome(info)
        except HookFailed:
            self._undo(info)
            raise

    def _undo(self, info: UploadInfo) -> None:
        """Remove an upload of which the client will not learn the URL: nobody could delete it."""
        if isinstance(self.store, Terminates):
            self.store.remove(info)

    def _take_in(
        self,
        info: UploadInfo,
        settled: UploadInfo,
        body: Body,
        proof: Proof,
        request: RequestFacts,
    ) -> UploadInfo:
        """Receive a body, and keep what its request told of the upload.

        "In the first two cases the uploaded chunk MUST be discarded, and the upload and its offset
        MUST NOT be updated": facts that come with a checksum wait until it holds.
        """
        changed = settled != info
        if changed and not proof.wanted:
            self.store.update(settled)
        received = self._receive(settled, body, proof, request)
        if changed and proof.wanted:
            self.store.update(settled)
        return received

    def _receive(
        self, info: UploadInfo, body: Body, proof: Proof, request: RequestFacts
    ) -> UploadInfo:
        with self.watch.over(info, body, request) as watched:
            try:
                received = self.receiver.receive(info, watched.body, proof, request)
            except UploadRefused as refused:
                raise self._refuse(info, refused) from refused
            except UploadError:
                if watched.stop is None:
                    raise
        if watched.stop is not None:
            raise self._stop(info, watched.stop, request)
        if received.offset == info.offset:
            return received
        # Bytes put the expiry off, and the answer that acknowledges them tells until when.
        return replace(received, touched_at=self._clock())

    def _refuse(self, info: UploadInfo, refused: UploadRefused | HookRejected) -> UploadError:
        """Remember the refusal; the error that answers it now and from now on."""
        refusal = refusal_of(refused)
        self.store.refuse(info, refusal)
        return error_of(refusal)

    def _stop(self, info: UploadInfo, stop: Stop, request: RequestFacts) -> UploadError:
        """End an upload for good, under its lock; the error that says so."""
        self._remove(self.store.look(info.id), request)
        return stopped(stop)

    def _stop_late(self, info: UploadInfo, stop: Stop, request: RequestFacts) -> None:
        """End an upload between two of its requests, unless it is complete by now."""
        try:
            self.stop(info, stop, request)
        except UploadError as error:  # gone, or another request is there: that one will hear it
            log.info("upload %s was to be stopped: %s", info.id, error)

    def _begin_joining(
        self, info: UploadInfo, parts: Sequence[UploadInfo], request: RequestFacts
    ) -> Outcome:
        # First the note, then the look: a part that finishes in between finds the note.
        self._joining.wait_for(info, parts)
        try:
            return self._join(info, request) or self._outcome(info)
        except (UploadRefused, ChecksumMismatch, UploadRejected):
            self._undo(info)
            raise

    def _join(self, info: UploadInfo, request: RequestFacts) -> Outcome | None:
        """Join an upload's parts and finish it, if all of them are complete."""
        try:
            joined = self._joining.attempt(info, request)
        except UploadRefused as refused:
            raise self._refuse(info, refused) from refused
        if joined is None:
            return None
        outcome = self._finish(joined, request)
        self._joining.clean_up(joined)
        return outcome

    def _join_waiting(self, part: UploadInfo) -> None:
        """Join the uploads of which this was the last part; their troubles are their own."""
        for info in self._joining.waiting(part):
            self.join_again(info)

    def judge(self, info: UploadInfo, head: bytes, request: RequestFacts) -> None:
        """Ask the hooks about the first bytes; raises UploadRefused."""
        with vetoes():
            self._hooks.first_bytes(self._event("first-bytes", info, request), head)

    def _grow(self, info: UploadInfo, size: int) -> None:
        if self._quotas is not None and info.owner is not None:
            self._quotas.check_growth(info, info.owner, size)

    def _finish(self, info: UploadInfo, request: RequestFacts) -> Outcome:
        """Make the complete upload durable, then hand it over; both may be done again."""
        self.store.finish(info)
        reply = self._ask_to_finish(info, request)
        told = self._hooks.post_finish(self._event("post-finish", info, request))
        if info.partial:
            self._join_waiting(info)
        return _replying(self._outcome(info, told.headers), reply)

    def _ask_to_finish(self, info: UploadInfo, request: RequestFacts) -> HookReply:
        """Ask the hooks until they have agreed once; under the lock, or two would be asked."""
        if not self._to_be_asked(info):
            return NO_REPLY
        with self.locker.hold(info.id, Bystander()):
            info = self.store.look(info.id)
            if info.refusal is not None:
                raise error_of(info.refusal)
            if not self._to_be_asked(info):
                return NO_REPLY
            try:
                with hook_failures(info.offset):
                    reply = self._hooks.pre_finish(self._event("pre-finish", info, request))
            except HookRejected as rejected:
                raise self._refuse(info, rejected) from rejected
            self.store.update(replace(info, accepted=True))
        return reply or NO_REPLY

    def _to_be_asked(self, info: UploadInfo) -> bool:
        """Whether the hooks have yet to agree to this complete upload.

        What is handed over is past that, and what tusd finished is nobody's to judge.
        """
        return (
            info.finished
            and not (info.accepted or info.path is not None or info.owner is None)
            and info.refusal is None
            and self._hooks.wants("pre-finish")
        )

    def _event(self, name: HookName, info: UploadInfo, request: RequestFacts) -> HookEvent:
        return HookEvent(name, facts_of(info, self._local), request)


def _settled(info: UploadInfo, owner: str, length: int | None, metadata: Metadata) -> UploadInfo:
    """With what is told only now, and the first user of an upload without one."""
    complete = info.length is not None and info.owner is not None and info.created_at is not None
    if complete and not metadata.pairs:
        return info
    header = info.metadata.with_more(metadata).to_header() if metadata.pairs else None
    return replace(
        info,
        metadata_header=info.metadata_header if header is None else header,
        length=length if info.length is None else info.length,
        owner=owner if info.owner is None else info.owner,
        created_at=info.created_at or info.touched_at,
    )


def _replying(outcome: Outcome, reply: HookReply) -> Outcome:
    """The outcome with what a hook puts into the answer; what is there already stays."""
    if reply == NO_REPLY:
        return outcome
    return replace(
        outcome,
        headers={**reply.headers, **outcome.headers},
        status=outcome.status or reply.status,
        body=outcome.body or reply.body,
    )
