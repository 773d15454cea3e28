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
from hooks.events import HookEvent, HookName, HookRejected, RequestFacts
from tusd_server.errors import (
    BadHeader,
    BodyBroken,
    ChecksumMismatch,
    FinalUpload,
    UnknownChecksum,
    UploadError,
    UploadForbidden,
    UploadGone,
    UploadNotFinished,
    UploadNotFound,
    UploadRefused,
    UploadTooLarge,
)
from tusd_server.info import Refusal, UploadInfo, now_utc
from tusd_server.locks import Locker
from tusd_server.storage.base import DataStore, Expires, Local, RemembersKeys, Terminates
from tusd_server.uploads.body import Body, PortableBody
from tusd_server.uploads.digests import DIGEST_MISMATCH, Digests
from tusd_server.uploads.facts import facts_of
from tusd_server.uploads.joining import Joining
from tusd_server.uploads.quotas import Quotas
from tusd_server.uploads.receiving import Proof, Receiver, check_fits

log = logging.getLogger("tusd_server.uploads")

NO_PROOF = Proof()
# After these a creation with bytes is not to be resumed: its client did it wrong.
_NOT_TO_RESUME = (UploadTooLarge, BodyBroken, ChecksumMismatch, UnknownChecksum, BadHeader)


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
    """An upload after a request, when it expires, and what the hooks add to the answer."""

    info: UploadInfo
    expires: datetime | None = None
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
        max_size: int,
        expire_after: timedelta | None = None,
        quotas: Quotas | None = None,
        clock: Callable[[], datetime] = now_utc,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        """Wire the rooms together; nothing is read or written yet.

        `max_size` bounds an upload in bytes, `expire_after` the time without new bytes.
        """
        self.store = store
        self.locker = locker
        self.max_size = max_size
        self._local = store if isinstance(store, Local) else None
        self._hooks = hooks
        self._quotas = quotas
        self._clock = clock
        self._new_id = new_id
        self._expire_after = expire_after if isinstance(store, Expires) else None
        self.receiver = Receiver(store, Digests(), max_size, self.judge)
        self._joining = Joining(store, locker, self.receiver, max_size)

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
            self._quotas.check(owner, info.length, parts)
        with _vetoes():
            self._hooks.pre_create(self._event("pre-create", replace(info, id=""), request))
        self.store.create(info)
        first = self._claim_key(info, wanted.key, instead_of=seen)
        if first != info.id:
            return self._outcome(self._mine(first, owner))
        self._hooks.post_create(self._event("post-create", info, request))
        if parts:
            return self._begin_joining(info, parts, request)
        if body is None and info.length != 0:
            return self._outcome(info)
        # No bytes are all bytes of an empty file, and are verified like any others.
        body = body or PortableBody(io.BytesIO(), 0)
        return self._take_first_bytes(info, body, wanted.proof, request)

    def look(self, upload_id: str, owner: str, request: RequestFacts) -> Outcome:
        """The upload as it stands, without disturbing anyone who writes it."""
        info = self._mine(upload_id, owner)
        if info.final and not info.finished:
            self._join(info, request)
            info = self._mine(upload_id, owner)
        elif self.locker.settle(upload_id):
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
        proof: Proof = NO_PROOF,
    ) -> Outcome:
        """Take in bytes from `offset` on; with the last one, finish the upload.

        `length` tells the length of an upload for which it was deferred. Raises OffsetMismatch,
        UploadTooLarge, ChecksumMismatch, and the errors of a body that ended badly, which carry
        the offset up to which bytes were kept.
        """
        if self._mine(upload_id, owner).final:
            raise FinalUpload("This upload is made of others; it takes no bytes of its own.")
        try:
            with self.locker.hold(upload_id, body):
                info = self._mine(upload_id, owner)
                with self._telling_expiry(info):
                    self.receiver.check(info, offset, length, body)
                    if not info.finished:
                        settled = _settled(info, owner, length)
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
            with self.locker.hold(upload_id, holder):
                self.store.remove(info)
        self._hooks.post_terminate(self._event("post-terminate", info, request))

    def stand(self, upload_id: str, owner: str) -> UploadInfo:
        """The upload as it stands now, for work on it; raises as every method does."""
        return self._mine(upload_id, owner)

    def finish_again(self, info: UploadInfo, request: RequestFacts) -> Outcome:
        """Finish a complete upload, whether or not that was done before.

        Not under its lock. Raises UploadRefused when a hook refuses it for good.
        """
        return self._finish(info, request)

    def refuse(self, info: UploadInfo, refused: UploadRefused) -> UploadError:
        """Remember a refusal and drop the bytes, under the lock; the error that answers it."""
        return self._refuse(info, refused)

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
            raise _error_of(info.refusal)
        expires = self.expires(info)
        if expires is not None and expires < self._clock():
            raise UploadGone("The upload has expired; begin a new one.")
        return info

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
            # The client will not learn the URL, so nobody could ever delete this upload.
            if isinstance(self.store, Terminates):
                self.store.remove(info)
            raise
        return self._finish(info, request) if info.finished else self._outcome(info)

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
        try:
            received = self.receiver.receive(info, body, proof, request)
        except UploadRefused as refused:
            raise self._refuse(info, refused) from refused
        if received.offset == info.offset:
            return received
        # Bytes put the expiry off, and the answer that acknowledges them tells until when.
        return replace(received, touched_at=self._clock())

    def _refuse(self, info: UploadInfo, refused: UploadRefused) -> UploadError:
        """Remember the refusal; the error that answers it now and from now on."""
        refusal = Refusal(refused.code, refused.message)
        self.store.refuse(info, refusal)
        return _error_of(refusal)

    def _begin_joining(
        self, info: UploadInfo, parts: Sequence[UploadInfo], request: RequestFacts
    ) -> Outcome:
        # First the note, then the look: a part that finishes in between finds the note.
        self._joining.wait_for(info, parts)
        try:
            return self._join(info, request) or self._outcome(info)
        except (UploadRefused, ChecksumMismatch):
            if isinstance(self.store, Terminates):  # the client will not learn the URL
                self.store.remove(info)
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
        with _vetoes():
            self._hooks.first_bytes(self._event("first-bytes", info, request), head)

    def _finish(self, info: UploadInfo, request: RequestFacts) -> Outcome:
        """Make the complete upload durable, then hand it over; both may be done again."""
        self.store.finish(info)
        try:
            with _vetoes():
                self._hooks.pre_finish(self._event("pre-finish", info, request))
        except UploadRefused as refused:
            raise self._refuse(info, refused) from refused
        reply = self._hooks.post_finish(self._event("post-finish", info, request))
        if info.partial:
            self._join_waiting(info)
        return self._outcome(info, reply.headers)

    def _event(self, name: HookName, info: UploadInfo, request: RequestFacts) -> HookEvent:
        return HookEvent(name, facts_of(info, self._local), request)


def _settled(info: UploadInfo, owner: str, length: int | None) -> UploadInfo:
    """With a length that is told only now, and the first user of an upload without one."""
    return replace(
        info,
        length=length if info.length is None else info.length,
        owner=owner if info.owner is None else info.owner,
        created_at=info.created_at or info.touched_at,
    )


def _error_of(refusal: Refusal) -> UploadError:
    if refusal.code == DIGEST_MISMATCH:
        return ChecksumMismatch(refusal.message)
    return UploadRefused(refusal.message, code=refusal.code)


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
