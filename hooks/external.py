"""Asks hooks that live outside of this program, and does what tusd would do on their reply."""

from hooks.base import Hooks
from hooks.events import (
    CreateReply,
    HookEvent,
    HookName,
    HookRejected,
    HookReply,
    HookUnavailable,
    Stop,
)
from hooks.replies import BadReply, Reply, read_reply
from hooks.transport import Away, Call, Failed, Transport

REJECTED = "rejected_by_hook"


class External(Hooks):
    """One receiver's part in what is asked, and in the progress of uploads.

    What is merely told, and must not be lost, is not called here: see hooks.deliveries.
    """

    def __init__(self, transport: Transport) -> None:
        """Nothing is called yet."""
        self._transport = transport

    def wants(self, name: HookName) -> bool:
        """What its receiver takes."""
        return self._transport.takes(name)

    def pre_create(self, event: HookEvent) -> CreateReply | None:
        """Let the receiver change or reject the upload."""
        reply = self._ask(event)
        if reply.reject_upload:
            raise _veto(reply, "The creation of this upload was rejected.")
        _end_if_failed(reply, "The creation of this upload was rejected.")
        return reply.change

    def post_receive(self, event: HookEvent) -> Stop | None:
        """Tell the progress; the receiver may stop the upload."""
        reply = self._ask(event)
        return Stop(reply.reply) if reply.stop_upload else None

    def pre_finish(self, event: HookEvent) -> HookReply | None:
        """Let the receiver reject the complete upload, by a status of 4xx."""
        reply = self._ask(event)
        _end_if_failed(reply, "The complete upload was rejected.")
        return reply.reply

    def pre_terminate(self, event: HookEvent) -> HookReply | None:
        """Let the receiver keep the upload."""
        reply = self._ask(event)
        if reply.reject_termination:
            raise _veto(reply, "The deletion of this upload was rejected.")
        _end_if_failed(reply, "The deletion of this upload was rejected.")
        return reply.reply

    def _ask(self, event: HookEvent) -> Reply:
        if not self._transport.takes(event.name):
            return Reply()
        try:
            return read_reply(self._transport.ask(Call.asking(event)))
        except (Away, Failed) as error:
            raise HookUnavailable(str(error)) from error
        except BadReply as error:
            raise HookUnavailable(
                f"The reply of {self._transport.name} cannot be used: {error}."
            ) from error


def _veto(reply: Reply, sentence: str) -> HookRejected:
    return HookRejected(REJECTED, reply.reply.body or sentence, reply=reply.reply)


def _end_if_failed(reply: Reply, sentence: str) -> None:
    """Take an answer that is an error for what it is: the thing must not happen behind it.

    4xx tells clients to give up, 5xx to try again, so that is what is kept of it.
    """
    status = reply.reply.status or 200
    if status >= 500:
        raise HookUnavailable(f"The receiver wants {status} to be answered.", reply=reply.reply)
    if status >= 400:
        raise _veto(reply, sentence)
