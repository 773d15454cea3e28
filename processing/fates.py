"""What the record of a medium says when one of its jobs was given up."""

from enum import Enum

from processing.catalog import PROCESS, REGISTER
from processing.reasons import Reason


class Cause(Enum):
    """Why no further try is made: every try raised, or killed its worker, or a service was away."""

    ERROR = "error"
    CRASH = "crash"
    AWAY = "away"


_REASONS = {
    (PROCESS, Cause.ERROR): Reason(
        "processing_failed",
        "The server could not examine the file; its operator can try again.",
    ),
    (PROCESS, Cause.CRASH): Reason(
        "processing_crashed",
        "The server was interrupted whenever it examined the file; its operator can try again.",
    ),
    (PROCESS, Cause.AWAY): Reason(
        "processing_unavailable",
        "A service that examines files was away for too long; the operator can try again.",
    ),
    (REGISTER, Cause.ERROR): Reason(
        "registration_failed",
        "The post could not be told of the file; the operator can try again.",
    ),
    (REGISTER, Cause.CRASH): Reason(
        "registration_failed",
        "The server was interrupted whenever it told the post; its operator can try again.",
    ),
    (REGISTER, Cause.AWAY): Reason(
        "posts_unavailable",
        "The system that publishes posts was away for too long; the operator can try again.",
    ),
}


def reason_for(kind: str, cause: Cause) -> Reason | None:
    """The reason of the state `failed`; None for kinds that a medium does not depend on."""
    return _REASONS.get((kind, cause))
