"""Read a video's headers with libmediainfo, for machines without ffprobe."""

from typing import Any, Final

from pymediainfo import MediaInfo

from processing.child.confine import seal
from processing.child.refusal import Refused

_FIELDS: Final = (
    *("track_type", "format", "width", "height", "duration", "rotation", "frame_rate"),
    *("frame_count", "overall_bit_rate", "istruncated"),
)


def parse(source: str) -> dict[str, Any]:
    """Return `{"tracks": [...]}`, the general track included, with the fields used here.

    `source` must be an absolute path. Raises `Refused` with `unreadable`.

    libmediainfo follows what it takes for a playlist to URLs and to other local files, and none
    of its options stops that. So the open file is handed over and all further opening denied.
    Where that cannot be denied it gets the path, which at least keeps it from fetching URLs.
    """
    MediaInfo.can_parse()
    with open(source, "rb") as file:
        subject = file if seal() else source
        try:
            found = MediaInfo.parse(subject).to_data()
        except (RuntimeError, SyntaxError, ValueError) as error:
            raise Refused("unreadable", f"{type(error).__name__}: {error}") from error
    tracks = [{field: track.get(field) for field in _FIELDS} for track in found["tracks"]]
    return {"tracks": tracks}
