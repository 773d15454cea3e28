"""The first step: is this a whitelisted type, of the family that was declared?"""

from dataclasses import replace

from processing.declared import Declared
from processing.reasons import Reason, Rejected
from processing.sniff import HEAD_BYTES, KINDS, Kind, sniff
from processing.steps.case import Case

ALLOWED = ", ".join(kind.extension[1:].upper() for kind in KINDS)


def recognise(head: bytes, declared: Declared) -> Kind:
    """Tell the kind of a file by its first bytes.

    Raises Rejected with `empty_file`, `type_not_allowed`, or `type_mismatch` when the family
    (image, video) is not the declared one; another subtype than declared is no fault.
    """
    if not head:
        raise Rejected(Reason("empty_file", "The file is empty; send at least one byte."))
    kind = sniff(head)
    if kind is None:
        message = f"The content is not of an allowed type; allowed are {ALLOWED}."
        raise Rejected(Reason("type_not_allowed", message))
    for family in declared.families():
        if family != kind.media_type:
            article = "an" if family[0] in "aeiou" else "a"
            message = (
                f"The file was declared as {article} {family} file but its content is "
                f"{kind.content_type}; declare what it is."
            )
            raise Rejected(Reason("type_mismatch", message))
    return kind


def sniff_step(case: Case) -> Case:
    """Set `kind`."""
    with case.source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return replace(case, kind=recognise(head, case.declared))
