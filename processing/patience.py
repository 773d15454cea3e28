"""What a job's work raises to say how its further tries are to be made.

Any other exception uses up one of the job's few tries: it may be the file's fault, and the same
file must not be tried for a day.
"""


class NotNow(Exception):
    """A service that the work needs is away, and the job has nothing to do with it.

    The job is tried again, later and later, for as long as the worker is told to be patient, and
    none of its tries is used up. `after_seconds` is the service's own wish for the pause, such as
    `Retry-After`: none is shorter, but none is longer than the worker's longest either.
    """

    def __init__(self, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class GiveUp(Exception):
    """No further try can help before somebody changes something: the job is parked at once."""
