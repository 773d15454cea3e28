"""Calls the hooks in order, and keeps their failures from uploads that they do not concern."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from hooks.base import Hooks
from hooks.events import NO_REPLY, CreateReply, HookEvent, HookName, HookReply, Stop

logger = logging.getLogger(__name__)

T = TypeVar("T")
HandOver = Callable[[HookEvent], HookReply]


class Dispatcher(Hooks):
    """Many hooks behind the face of one.

    The hand-over of a finished upload is not one of the hooks. They are told, while it is a
    duty: the client hears of success only when the record and the job are durable, so its
    failure is the caller's to answer for.
    """

    def __init__(self, hooks: Sequence[Hooks], hand_over: HandOver) -> None:
        """`hooks` are called in this order."""
        self._hooks = tuple(hooks)
        self._hand_over = hand_over

    def wants(self, name: HookName) -> bool:
        """Whether any of them does."""
        return any(hook.wants(name) for hook in self._hooks)

    def pre_create(self, event: HookEvent) -> CreateReply | None:
        """Ask all, each about the upload as those before have changed it.

        The first veto or error ends it; where two change the same, the later one counts.
        """
        changed = CreateReply()
        for hook in self._hooks:
            reply = hook.pre_create(event)
            if reply is not None:
                changed = _both(changed, reply)
                event = _changed(event, reply)
        return changed

    def post_create(self, event: HookEvent) -> None:
        """Tell all."""
        for hook in self._hooks:
            _tell(hook, hook.post_create, event)

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        """Ask all; the first veto or error ends it."""
        for hook in self._hooks:
            hook.first_bytes(event, head)

    def post_receive(self, event: HookEvent) -> Stop | None:
        """Tell all who want to know; the first that wants to stop counts."""
        stops = [
            _tell(hook, hook.post_receive, event) for hook in self._hooks if hook.wants(event.name)
        ]
        return next((stop for stop in stops if stop is not None), None)

    def pre_finish(self, event: HookEvent) -> HookReply:
        """Ask all; the first veto or error ends it."""
        return self._ask(event, [hook.pre_finish for hook in self._hooks])

    def post_finish(self, event: HookEvent) -> HookReply:
        """Hand over, then tell all; an exception is the hand-over's, and nobody was told.

        The call may be repeated for the same upload. On equal names the hand-over's headers win.
        """
        handed_over = self._hand_over(event)
        headers: dict[str, str] = {}
        for hook in self._hooks:
            reply = _tell(hook, hook.post_finish, event)
            headers.update(reply.headers if reply is not None else {})
        return HookReply({**headers, **handed_over.headers})

    def pre_terminate(self, event: HookEvent) -> HookReply:
        """Ask all; the first veto or error ends it."""
        return self._ask(event, [hook.pre_terminate for hook in self._hooks])

    def post_terminate(self, event: HookEvent) -> None:
        """Tell all."""
        for hook in self._hooks:
            _tell(hook, hook.post_terminate, event)

    def _ask(
        self, event: HookEvent, methods: Sequence[Callable[[HookEvent], HookReply | None]]
    ) -> HookReply:
        merged = NO_REPLY
        for method in methods:
            merged = merged.under(method(event) or NO_REPLY)
        return merged


def _both(first: CreateReply, then: CreateReply) -> CreateReply:
    return CreateReply(
        id=first.id if then.id is None else then.id,
        metadata=first.metadata if then.metadata is None else then.metadata,
        place=first.place if then.place is None else then.place,
        reply=first.reply.under(then.reply),
    )


def _changed(event: HookEvent, reply: CreateReply) -> HookEvent:
    if reply.metadata is None:
        return event
    return replace(event, upload=replace(event.upload, metadata=reply.metadata))


def _tell(hook: Hooks, method: Callable[[HookEvent], T], event: HookEvent) -> T | None:
    try:
        return method(event)
    except Exception:
        name = type(hook).__name__
        logger.exception("upload %s: the %s hook %s failed", event.upload.id, event.name, name)
        return None
