"""What the worker asks of the system that publishes posts."""

from typing import Protocol

from processing.medium import Medium
from processing.reasons import Reason


class PostsBackend(Protocol):
    """Where ready media are announced."""

    def register(self, medium: Medium) -> str | None:
        """Add the medium to its post (`medium.post_id` is set); the backend's own name for it.

        May be called again for a medium that is registered already, and then changes nothing.
        `Rejected` is final: the medium will not be part of that post, and its file goes.
        `Refused` keeps the file, and the call is repeated when somebody asks for it. `NotNow`
        means that the backend is away, and the call is repeated for a day; `GiveUp`, that no
        repetition can help before somebody changes something. Any other exception uses up one of
        a few tries.
        """


class Refused(Exception):
    """The backend does not take the medium as things are; `error` is for the operator."""

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(error)
        self.reason = reason
        self.error = error
