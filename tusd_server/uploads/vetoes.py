"""What the words of hooks mean for an upload's client."""

import contextlib
import logging
from collections.abc import Iterator

from hooks.events import HookRejected, HookReply, HookUnavailable, RejectionKind, Stop
from tusd_server.errors import (
    BadHeader,
    ChecksumMismatch,
    HookFailed,
    UploadError,
    UploadForbidden,
    UploadRefused,
    UploadRejected,
)
from tusd_server.info import Refusal
from tusd_server.uploads.digests import DIGEST_MISMATCH

log = logging.getLogger("tusd_server.uploads")

_STATUS: dict[RejectionKind, int | None] = {"content": None, "forbidden": 403, "invalid": 400}


@contextlib.contextmanager
def vetoes() -> Iterator[None]:
    """Turn a hook's veto, and its failure, into the error that answers it."""
    try:
        with hook_failures():
            yield
    except HookRejected as rejected:
        raise _veto(rejected) from rejected


@contextlib.contextmanager
def hook_failures(offset: int | None = None) -> Iterator[None]:
    """Turn the failure of a hook into HookFailed; what it was goes to the log.

    `offset` is where the upload stands, for a client that goes on there.
    """
    try:
        yield
    except HookUnavailable as unavailable:
        failure = hook_failure(str(unavailable), unavailable.reply)
        failure.offset = offset
        raise failure from unavailable


def hook_failure(cause: str, reply: HookReply | None = None) -> HookFailed:
    """The error for a hook's failure, or its useless reply; the client does not hear the cause."""
    log.error("%s", cause)
    reply = reply or HookReply()
    return HookFailed(
        reply.body or "The server could not ask whether this is allowed; try again.",
        status=reply.status,
        headers=tuple(reply.headers.items()),
    )


def refusal_of(refused: UploadRefused | HookRejected) -> Refusal:
    """What is to be remembered of an upload that is refused for good."""
    if isinstance(refused, UploadRefused):
        return Refusal(refused.code, refused.message)
    if refused.reply is None:
        return Refusal(refused.code, refused.message, _STATUS[refused.kind])
    headers = tuple(refused.reply.headers.items())
    return Refusal(refused.code, refused.message, refused.reply.status or 400, headers)


def error_of(refusal: Refusal) -> UploadError:
    """The error that answers every request for a refused upload."""
    if refusal.status is not None:
        return UploadRejected(refusal.message, status=refusal.status, headers=refusal.headers)
    if refusal.code == DIGEST_MISMATCH:
        return ChecksumMismatch(refusal.message)
    return UploadRefused(refusal.message, code=refusal.code)


def stopped(stop: Stop) -> UploadRejected:
    """The answer to a body that a hook stopped."""
    reply = stop.reply
    return UploadRejected(
        reply.body or "The upload was stopped by the server and is deleted.",
        status=reply.status,
        headers=tuple(reply.headers.items()),
    )


def _veto(rejected: HookRejected) -> UploadError:
    if rejected.reply is not None:
        headers = tuple(rejected.reply.headers.items())
        return UploadRejected(rejected.message, status=rejected.reply.status, headers=headers)
    if rejected.kind == "content":
        return UploadRefused(rejected.message, code=rejected.code)
    error = UploadForbidden if rejected.kind == "forbidden" else BadHeader
    return error(rejected.message)
