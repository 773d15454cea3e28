"""The verdict on first bytes, the same while an upload is under way and in the pipeline."""

from typing import Final

from processing.declared import Declared
from processing.reasons import Reason, Rejected
from processing.sniff import KINDS, Kind, sniff

_NAMES: Final = [kind.extension[1:].upper() for kind in KINDS]
ACCEPTED: Final = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"


def judge(head: bytes, declared: Declared) -> Kind:
    """Tell the kind of a file by its first `processing.sniff.HEAD_BYTES` bytes.

    Raises Rejected with `empty_file`, `type_not_allowed`, or `type_mismatch` when the family
    (image, video) is not the declared one; another subtype than declared is no fault.
    """
    if not head:
        raise Rejected(Reason("empty_file", "The file is empty; send at least one byte."))
    kind = sniff(head)
    if kind is None:
        message = f"The first bytes are of no type that is accepted; send {ACCEPTED}."
        raise Rejected(Reason("type_not_allowed", message))
    said = declared.families()
    if any(family != kind.media_type for family in said):
        message = (
            f"The file is {kind.content_type} but was declared as {' and '.join(said)}; "
            "declare what it is."
        )
        raise Rejected(Reason("type_mismatch", message))
    return kind
