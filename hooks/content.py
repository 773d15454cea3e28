"""The built-in check of what a client sends: refused as early as it can be known."""

from hooks.base import Hooks
from hooks.events import POST_KEY, HookEvent, HookRejected
from processing.declared import Declared
from processing.medium import POST_ID_LENGTH, is_post_id
from processing.sniff import KINDS, sniff

_ALLOWED = ", ".join(kind.content_type for kind in KINDS)


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
        """`type_not_allowed` or `type_mismatch`; the parts of a concatenation are not judged."""
        # Only the first part of a concatenation begins as the whole file does.
        if event.upload.is_partial:
            return
        kind = sniff(head)
        if kind is None:
            raise HookRejected(
                "type_not_allowed",
                f"The first bytes are of no type that is accepted; send one of {_ALLOWED}.",
                kind="content",
            )
        said = Declared(event.upload.file_name, event.upload.content_type).families()
        if any(family != kind.media_type for family in said):
            raise HookRejected(
                "type_mismatch",
                f"The file is {kind.content_type} but was declared as {' and '.join(said)}; "
                "declare what it is.",
                kind="content",
            )
