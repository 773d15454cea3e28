"""The built-in check of what a client sends: refused as early as it can be known."""

from hooks.base import Hooks
from hooks.events import POST_KEY, HookEvent, HookRejected
from processing.declared import Declared
from processing.judge import judge
from processing.medium import POST_ID_LENGTH, is_post_id
from processing.reasons import Rejected


class ContentCheck(Hooks):
    """Refuses types that are not on the list, and files that are not what their client says."""

    def pre_create(self, event: HookEvent) -> None:
        """`bad_post_id`: the name of a post that no record could hold."""
        post_id = event.upload.post_id
        if post_id is not None and not is_post_id(post_id):
            raise HookRejected(
                "bad_post_id",
                f"The metadata {POST_KEY} must be 1 to {POST_ID_LENGTH} printable characters.",
                kind="invalid",
            )

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        """The verdict of `processing.judge`, given early.

        The parts of a concatenation are not judged.
        """
        # Only the first part of a concatenation begins as the whole file does.
        if event.upload.is_partial:
            return
        try:
            judge(head, Declared(event.upload.file_name, event.upload.content_type))
        except Rejected as rejected:
            reason = rejected.reasons[0]
            raise HookRejected(reason.code, reason.message, kind="content") from rejected
