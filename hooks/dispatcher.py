"""Calls the hooks in order, and keeps their failures from uploads that they do not concern."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from hooks.base import Hooks
from hooks.events import HookEvent, HookReply

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

    def pre_create(self, event: HookEvent) -> None:
        """Ask all; the first veto or error ends it."""
        for hook in self._hooks:
            hook.pre_create(event)

    def post_create(self, event: HookEvent) -> None:
        """Tell all."""
        for hook in self._hooks:
            _tell(hook, hook.post_create, event)

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        """Ask all; the first veto or error ends it."""
        for hook in self._hooks:
            hook.first_bytes(event, head)

    def pre_finish(self, event: HookEvent) -> None:
        """Ask all; the first veto or error ends it."""
        for hook in self._hooks:
            hook.pre_finish(event)

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

    def pre_terminate(self, event: HookEvent) -> None:
        """Ask all; the first veto or error ends it."""
        for hook in self._hooks:
            hook.pre_terminate(event)

    def post_terminate(self, event: HookEvent) -> None:
        """Tell all."""
        for hook in self._hooks:
            _tell(hook, hook.post_terminate, event)


def _tell(hook: Hooks, method: Callable[[HookEvent], T], event: HookEvent) -> T | None:
    try:
        return method(event)
    except Exception:
        name = type(hook).__name__
        logger.exception("upload %s: the %s hook %s failed", event.upload.id, event.name, name)
        return None
