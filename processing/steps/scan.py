"""Ask the virus scanner, before any decoder sees the bytes."""

from dataclasses import dataclass

from processing.clamd import Clamd
from processing.reasons import Reason, Rejected
from processing.steps.case import Case


@dataclass(frozen=True, slots=True)
class ScanStep:
    """Raises Rejected with `infected` or `not_scannable`.

    NotNow when the scanner cannot tell at present: no file is passed unscanned.
    """

    clamd: Clamd

    def __call__(self, case: Case) -> Case:
        """Scan one medium, which stays as it is."""
        verdict = self.clamd.scan(case.source)
        if verdict.kind == "infected":
            found = f"The virus scanner found {verdict.signature} in the file"
            raise Rejected(Reason("infected", f"{found}; send a clean one."))
        if verdict.kind == "too_large":
            message = "The file is larger than the virus scanner takes; send a smaller one."
            raise Rejected(Reason("not_scannable", message))
        return case
