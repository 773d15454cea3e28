"""How a body of the JSON API can end badly, in words."""

from tusd_server.errors import (
    BodyBroken,
    BodyCut,
    ReadTimedOut,
    ServerStopping,
    UploadError,
    UploadInterrupted,
)
from tusd_server.uploads.body import Ending

_ENDINGS: dict[Ending | None, tuple[type[UploadError], str]] = {
    Ending.TIMED_OUT: (ReadTimedOut, "The {} came too slowly, or not at all; send it again."),
    Ending.TAKEN_OVER: (UploadInterrupted, "A newer request took over; this {} was not read."),
    Ending.STOPPING: (ServerStopping, "The server is stopping; send the {} again."),
    Ending.BROKEN: (BodyBroken, "The chunked framing of the {} is broken."),
}
_CUT = (BodyCut, "The connection ended before the {} did.")


def bad_ending(ending: Ending | None, what: str) -> UploadError:
    """The error of a body that ended so before it was complete; `what` it was."""
    kind, sentence = _ENDINGS.get(ending, _CUT)
    return kind(sentence.format(what))
