"""The moments of an upload's life at which hooks are called."""

from hooks.events import CreateReply, HookEvent, HookName, HookReply, Stop


class Hooks:
    """Documented no-ops; override those you need.

    The methods named `pre_...` and `first_bytes` are asked before something happens, and may
    prevent it by raising `HookRejected`; any other exception is an error of the server, and
    prevents it too. The methods named `post_...` are told afterwards; what they raise is logged
    and changes nothing.
    """

    def wants(self, name: HookName) -> bool:
        """Whether this hook is to be called at all; by default, for what it overrides.

        Asked before the costly ones, `pre-finish` and `post-receive`, are prepared.
        """
        method = name.replace("-", "_")
        return getattr(type(self), method) is not getattr(Hooks, method)

    def pre_create(self, event: HookEvent) -> CreateReply | None:
        """An upload is asked for; it has no id yet. The result may change it."""
        return None

    def post_create(self, event: HookEvent) -> None:
        """The upload exists."""

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        """The first 4 KiB are in, or all bytes of a smaller upload; called once per upload."""

    def post_receive(self, event: HookEvent) -> Stop | None:
        """Bytes have come: now and then while they do, and once when a request has ended.

        Called beside the request, which does not wait for it; `Stop` ends the upload for good.
        """
        return None

    def pre_finish(self, event: HookEvent) -> HookReply | None:
        """The last byte is in and durable; the client has no answer yet.

        It is asked until it has agreed once. A veto is remembered and answers every later request.
        """
        return None

    def post_finish(self, event: HookEvent) -> HookReply:
        """The upload is complete and handed over; headers for the last answer are the result."""
        return HookReply()

    def pre_terminate(self, event: HookEvent) -> HookReply | None:
        """The client asks to delete the upload."""
        return None

    def post_terminate(self, event: HookEvent) -> None:
        """The upload is gone."""
