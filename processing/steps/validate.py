"""The rules of the house, each with the limit and the found value in its sentence."""

from collections.abc import Iterator
from dataclasses import dataclass

from processing.limits import MIB, Limits
from processing.probed import Probed
from processing.reasons import Reason, Rejected
from processing.sniff import Kind
from processing.steps.case import Case, Image
from processing.steps.ffprobe import CODECS


@dataclass(frozen=True, slots=True)
class SizeStep:
    """Raises Rejected(`file_too_large`); asked before anything costly is done."""

    limits: Limits

    def __call__(self, case: Case) -> Case:
        """Check one medium whose kind is known."""
        if reason := too_large(self.limits, case.kind, case.size):
            raise Rejected(reason)
        return case


@dataclass(frozen=True, slots=True)
class ValidateStep:
    """Raises Rejected with every rule that the measured medium breaks."""

    limits: Limits

    def __call__(self, case: Case) -> Case:
        """Check one medium which has been probed."""
        reasons: list[Reason] = []
        if case.image is not None:
            reasons.extend(image_faults(self.limits, case.image))
        if case.video is not None:
            reasons.extend(video_faults(self.limits, case.video))
        if reasons:
            raise Rejected(*reasons)
        return case


def too_large(limits: Limits, kind: Kind | None, size: int) -> Reason | None:
    """Judge a number of bytes by the limit of the kind's family."""
    video = kind is not None and kind.media_type == "video"
    limit = limits.video_max_size if video else limits.image_max_size
    if size <= limit:
        return None
    family = "video" if video else "image"
    message = f"The {family} has {_mib(size)} MiB; at most {_mib(limit)} MiB are allowed."
    return Reason("file_too_large", message)


def image_faults(limits: Limits, image: Image) -> Iterator[Reason]:
    """Yield what is wrong with the size of an image."""
    found = f"The image is {image.width} x {image.height} px"
    if min(image.width, image.height) < limits.image_min_side:
        least = f"a side must have at least {limits.image_min_side} px"
        yield Reason("image_too_small", f"{found}; {least}.")
    if max(image.width, image.height) > limits.image_max_side:
        most = f"a side may have at most {limits.image_max_side} px"
        yield Reason("image_too_large_dimensions", f"{found}; {most}.")


def video_faults(limits: Limits, video: Probed) -> Iterator[Reason]:
    """Yield what is wrong with a video; every track counts, not only the one that is shown."""
    if not video.tracks:
        message = "The file has no video track; upload a file with a moving picture."
        yield Reason("no_video_track", message)
        return
    for track in video.tracks:
        if track.codec not in CODECS:
            allowed = f"allowed are {', '.join(CODECS)}"
            message = f"The video is coded as {track.codec}; {allowed}."
            yield Reason("codec_not_allowed", message)
        width, height = track.upright
        if max(width, height) > limits.video_max_side:
            most = f"a side may have at most {limits.video_max_side} px"
            message = f"The video is {width} x {height} px; {most}."
            yield Reason("video_too_large_dimensions", message)
    yield from _duration_faults(limits, video.duration)


def _duration_faults(limits: Limits, duration: float) -> Iterator[Reason]:
    if duration <= 0:
        message = "The video does not say how long it lasts; export it again as MP4."
        yield Reason("duration_unknown", message)
        return
    # Judged as it is told, to a tenth: sound runs some hundredths past a three-minute picture.
    told = round(duration, 1)
    found = f"The video lasts {told:.1f} s"
    if told < limits.video_min_seconds:
        message = f"{found}; at least {limits.video_min_seconds:g} s are required."
        yield Reason("video_too_short", message)
    if told > limits.video_max_seconds:
        message = f"{found}; at most {limits.video_max_seconds:g} s are allowed."
        yield Reason("video_too_long", message)


def _mib(size: int) -> str:
    return f"{size / MIB:.1f}".removesuffix(".0")
