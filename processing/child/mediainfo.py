"""Read a video's headers with libmediainfo, for machines without ffprobe."""

from typing import Any, Final

from pymediainfo import MediaInfo

from processing.child.refusal import Refused

# Only a forced parser keeps libmediainfo from taking the file for a playlist and opening what
# that names: with its own choice it fetched URLs and read other local files.
_PARSERS: Final = {"video/mp4": "Mpeg4", "video/quicktime": "Mpeg4", "video/webm": "Mkv"}

_FIELDS: Final = (
    *("track_type", "format", "width", "height", "duration", "rotation", "frame_rate"),
    *("frame_count", "overall_bit_rate", "istruncated"),
)


def parse(source: str, content_type: str) -> dict[str, Any]:
    """Return `{"tracks": [...]}`, the general track included, with the fields used here.

    `source` must be an absolute path: a bare name is taken for a possible URL. Raises `Refused`
    with `unreadable`.
    """
    options = {"File_ForceParser": _PARSERS[content_type]}
    try:
        found = MediaInfo.parse(source, mediainfo_options=options).to_data()
    except (RuntimeError, SyntaxError, ValueError) as error:
        raise Refused("unreadable", f"{type(error).__name__}: {error}") from error
    tracks = [{field: track.get(field) for field in _FIELDS} for track in found["tracks"]]
    return {"tracks": tracks}
