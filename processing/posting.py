"""What the worker asks of the system that publishes posts."""

from typing import Protocol

from processing.medium import Medium


class PostsBackend(Protocol):
    """Where ready media are announced."""

    def register(self, medium: Medium) -> None:
        """Add the medium to its post (`medium.post_id` is set).

        May be called again for a medium that is registered already, and then changes nothing.
        `Rejected` is final: the medium will not be part of that post. `NotNow` means that the
        backend is away, and the call is repeated for a day; `GiveUp`, that no repetition can help
        before somebody changes something. Any other exception uses up one of a few tries.
        """
