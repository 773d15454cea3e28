"""Why a medium was refused: the closed list of codes and the exception that carries them."""

from dataclasses import dataclass
from typing import Final

REASONS: Final[dict[str, str]] = {
    "empty_file": "The file has no bytes.",
    "type_not_allowed": "The first bytes are not those of a whitelisted image or video type.",
    "type_mismatch": "The file was declared as one family (image, video) and holds another.",
    "file_too_large": "The file has more bytes than its family may have.",
    "infected": "The virus scanner found something; the sentence names it.",
    "not_scannable": "The file goes beyond a limit of the virus scanner.",
    "truncated": "The end of the file is missing.",
    "unreadable": "The decoder found the file broken.",
    "unprocessable": "Examining the file crashed, or took more time or memory than is allowed.",
    "no_video_track": "The container has no moving picture: sound only, or sound with a cover.",
    "codec_not_allowed": "A video track is coded in a way that is not on the list of codecs.",
    "duration_unknown": "Neither the headers nor the packets tell how long the video lasts.",
    "video_too_short": "The video lasts less than the shortest allowed.",
    "video_too_long": "The video lasts more than the longest allowed.",
    "video_too_large_dimensions": "A video track has a side longer than allowed.",
    "image_too_small": "The image has a side shorter than allowed.",
    "image_too_large_dimensions": "The image has a side longer than allowed.",
    "metadata_not_removable": "The server removes private metadata, and cannot from this file.",
    "post_of_another_user": "The medium names a post that belongs to another user.",
    "processing_failed": "The server failed to examine the file at every try; it can try again.",
    "processing_crashed": "Every try to examine the file ended with the death of its worker.",
    "processing_unavailable": "A service that examines files was away for `TUSD_RETRY_HOURS`.",
    "refused_by_backend": "The posts backend refused the medium; the file is kept for a new try.",
    "registration_failed": "The posts backend could not be told of the medium; it can be retried.",
    "posts_unavailable": "The posts backend was away for `TUSD_RETRY_HOURS`; it can be retried.",
}
"""Every code a record can carry, and what it means. Codes never change meaning.

The last six come with the state `failed`, all others with `rejected`.
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """One broken rule: a code of `REASONS` and one sentence for the person who uploaded."""

    code: str
    message: str

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise ValueError(f"{self.code!r} is not a reason; use one of {', '.join(REASONS)}.")


class Rejected(Exception):
    """The medium breaks the rules and will break them at every further try, so none is made."""

    def __init__(self, *reasons: Reason) -> None:
        if not reasons:
            raise ValueError("A rejection needs at least one reason.")
        super().__init__(" ".join(reason.message for reason in reasons))
        self.reasons: tuple[Reason, ...] = reasons
