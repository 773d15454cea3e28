"""What is known of one medium, and of the upload that it came from."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

from processing.examined import Derivative, Thumbnail
from processing.reasons import Reason

Status = Literal[
    "received",
    "processing",
    "ready",
    "registered",
    "published",
    "deleted",
    "rejected",
    "failed",
]
PLACE_BYTES = 1024
PLACE_NAME_BYTES = 100
POST_ID_LENGTH = 255

_MEDIA_IDS = uuid.UUID("6c1f0c2e-6a53-5d0b-9a64-5f1b7f0d9e21")


def media_id_for(upload_id: str) -> str:
    """The medium's id for this upload; always the same.

    A power cut may lose a record whose id the client was already told, and the
    reconciler that makes the record again must arrive at that id.
    """
    return str(uuid.uuid5(_MEDIA_IDS, upload_id))


def is_post_id(text: str) -> bool:
    """Whether a client may name a post so: 1 to 255 printable characters."""
    return 0 < len(text) <= POST_ID_LENGTH and text.isprintable()


def is_wanted_place(path: str) -> bool:
    """Whether a medium may be wanted there: a relative path of names, none of them hidden.

    A name has at most 100 bytes and does not begin with a dot, or with the tilde of folders of
    ours; the path has at most 1024 bytes.
    """
    names = path.split("/")
    plain = all(
        name and name[0] not in ".~" and len(name.encode("utf-8", "replace")) <= PLACE_NAME_BYTES
        for name in names
    )
    fits = len(path.encode("utf-8", "replace")) <= PLACE_BYTES
    return plain and fits and path.isprintable() and "\\" not in path


@dataclass(frozen=True, slots=True)
class Received:
    """A finished upload, as its client described it; `size` in bytes.

    `created_at` is when the upload was created; `content_type` and `file_name` are claims.
    """

    upload_id: str
    owner: str
    size: int
    created_at: datetime
    file_name: str | None = None
    content_type: str | None = None
    post_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.post_id is not None and not is_post_id(self.post_id):
            raise ValueError(
                f"The post_id of upload {self.upload_id} is not usable; "
                f"give 1 to {POST_ID_LENGTH} printable characters."
            )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a medium's files lie, relative to the data directory."""

    path: str
    thumbnail_path: str

    @property
    def names(self) -> tuple[str, ...]:
        """Every path that another medium must not have: the thumbnail's in either format."""
        stem = str(PurePosixPath(self.path).with_suffix(""))
        return self.path, f"{stem}.thumb.jpg", f"{stem}.thumb.webp"

    def in_format_of(self, other: "Place") -> "Place":
        """The same place, but the thumbnail's extension, which is that of the other one's."""
        extension = PurePosixPath(other.thumbnail_path).suffix
        return Place(self.path, str(PurePosixPath(self.thumbnail_path).with_suffix(extension)))


FOLDER_SUFFIX = ".more"


def folder_of(path: str) -> str:
    """Where the derivatives of the medium at `path` lie; no medium's own name ends so."""
    return str(PurePosixPath(path).with_suffix(FOLDER_SUFFIX))


@dataclass(frozen=True, slots=True)
class Change:
    """That the record of a medium was written, and when."""

    media_id: str
    upload_id: str
    owner: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Medium:
    """One record; sizes in bytes, durations in seconds, sides in pixels, times in UTC.

    `content_type` is the client's claim until the file was examined, and the truth from then on.
    `path` and `thumbnail_path` are relative to the data directory; they are reserved before the
    files arrive there, so only `status` and `thumbnail` say what can be read.
    `backend_id` is the posts backend's own name for the medium. `deleted_because` tells which of
    `published`, `asked` and `retention` removed the files. `changed_at` is when the record was
    last written.
    """

    id: str
    upload_id: str
    owner: str
    post_id: str | None
    status: Status
    reasons: tuple[Reason, ...]
    media_type: str | None
    file_name: str | None
    content_type: str | None
    size: int
    sha256: str | None
    width: int | None
    height: int | None
    duration: float | None
    codec: str | None
    bitrate: int | None
    fps: float | None
    rotation: int | None
    thumbhash: str | None
    probe: str | None
    path: str | None
    thumbnail_path: str | None
    thumbnail: Thumbnail | None
    metadata: Mapping[str, str]
    created_at: datetime
    received_at: datetime
    registered_at: datetime | None
    published_at: datetime | None
    deleted_at: datetime | None
    backend_id: str | None
    derivatives: tuple[Derivative, ...]
    deleted_because: str | None
    changed_at: datetime

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that this medium has reserved, whether or not anything lies there.

        The last one is the folder of its derivatives.
        """
        reserved = (self.path, self.thumbnail_path, self.path and folder_of(self.path))
        return tuple(path for path in reserved if path is not None)
