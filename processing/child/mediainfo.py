"""Read a video's headers with libmediainfo, for machines without ffprobe."""

from typing import Any, BinaryIO, Final

from pymediainfo import MediaInfo

from processing.child.boxes import boxes, descend
from processing.child.confine import seal
from processing.child.pieces import Pieces
from processing.child.refusal import Refused

_FIELDS: Final = (
    *("track_type", "format", "width", "height", "duration", "rotation", "frame_rate"),
    "pixel_aspect_ratio",
    *("frame_count", "overall_bit_rate", "istruncated"),
)


def parse(source: str) -> dict[str, Any]:
    """Return `{"tracks": [...], "samples": [...]}`.

    The tracks, the general one included, with the fields used here; and how many samples each
    video track of an MP4 has by its tables. Headers lie, and libmediainfo believes them.

    `source` must be an absolute path. Raises `Refused` with `unreadable`.

    libmediainfo follows what it takes for a playlist to URLs and to other local files, and none
    of its options stops that. So the open file is handed over and all further opening denied.
    Where that cannot be denied it gets the path, which at least keeps it from fetching URLs.
    """
    MediaInfo.can_parse()
    with open(source, "rb") as file:
        samples = _samples(file)
        file.seek(0)
        subject = file if seal() else source
        try:
            found = MediaInfo.parse(subject).to_data()
        except (RuntimeError, SyntaxError, ValueError) as error:
            raise Refused("unreadable", f"{type(error).__name__}: {error}") from error
    tracks = [{field: track.get(field) for field in _FIELDS} for track in found["tracks"]]
    return {"tracks": tracks, "samples": samples}


def _samples(file: BinaryIO) -> list[int]:
    pieces, found = Pieces(file), []
    try:
        movies = [box for box in boxes(pieces, 0, pieces.size) if box.name == b"moov"]
        for track in (box for movie in movies for box in boxes(pieces, movie.body, movie.end)):
            if track.name != b"trak":
                continue
            if pieces.read(descend(pieces, track, b"mdia", b"hdlr").body + 8, 4) == b"vide":
                sizes = descend(pieces, track, b"mdia", b"minf", b"stbl", b"stsz")
                found.append(int.from_bytes(pieces.read(sizes.body + 8, 4), "big"))
    except ValueError:
        return found
    return found
