"""The medium under examination, and what the steps before have found out about it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from processing.declared import Declared
from processing.examined import Thumbnail
from processing.probed import Probed
from processing.sniff import Kind


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture: the bytes of its file and its size in pixels."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image's size as displayed and its clockwise rotation.

    When it was decoded, its thumbnail with the further sizes in their order, and its ThumbHash.
    """

    width: int
    height: int
    rotation: int
    pictures: tuple[Picture, ...]
    thumbhash: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """One file on its way through the steps; a field is None until its step has run.

    New files go to `folder`. `source` and `size` are those of the stripped file once there is one.
    """

    source: Path
    declared: Declared
    size: int
    kind: Kind | None = None
    image: Image | None = None
    video: Probed | None = None
    sha256: str | None = None
    pictures: tuple[Picture, ...] = ()
    thumbnail: Thumbnail | None = None
    stripped: bool = False
    folder: Path | None = None
    thumbhash: str | None = None


Step = Callable[[Case], Case]
"""Fills in its fields; raises Rejected when the medium breaks a rule."""
