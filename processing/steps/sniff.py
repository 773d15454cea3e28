"""The first step: is this a whitelisted type, of the family that was declared?"""

from dataclasses import replace

from processing.judge import judge
from processing.sniff import HEAD_BYTES
from processing.steps.case import Case


def sniff_step(case: Case) -> Case:
    """Set `kind`; raises what `judge` raises."""
    with case.source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return replace(case, kind=judge(head, case.declared))
