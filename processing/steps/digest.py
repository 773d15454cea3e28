"""The SHA-256 of all bytes, by which a file can be recognised later."""

import hashlib
from dataclasses import replace

from processing.steps.case import Case


def digest_step(case: Case) -> Case:
    """Set `sha256`, in lower-case hexadecimal."""
    with case.source.open("rb") as file:
        return replace(case, sha256=hashlib.file_digest(file, "sha256").hexdigest())
