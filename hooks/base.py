"""The moments of an upload's life at which hooks are called."""

from hooks.events import HookEvent, HookReply


class Hooks:
    """Documented no-ops; override those you need.

    The methods named `pre_...` and `first_bytes` are asked before something happens, and may
    prevent it by raising `HookRejected`; any other exception is an error of the server, and
    prevents it too. The methods named `post_...` are told afterwards; what they raise is logged
    and changes nothing.
    """

    def pre_create(self, event: HookEvent) -> None:
        """An upload is asked for; it has no id yet."""

    def post_create(self, event: HookEvent) -> None:
        """The upload exists."""

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        """The first 4 KiB are in, or all bytes of a smaller upload; called once per upload."""

    def pre_finish(self, event: HookEvent) -> None:
        """The last byte is in and durable; the client has no answer yet."""

    def post_finish(self, event: HookEvent) -> HookReply:
        """The upload is complete and handed over; headers for the last answer are the result."""
        return HookReply()

    def pre_terminate(self, event: HookEvent) -> None:
        """The client asks to delete the upload."""

    def post_terminate(self, event: HookEvent) -> None:
        """The upload is gone."""
