"""What the JSON API takes and gives, as models: they check requests and make the OpenAPI page."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from processing.medium import POST_ID_LENGTH, Status, is_post_id

MIB = 1024 * 1024
CHUNK_BYTES = 5 * MIB
LEAST_CHUNK_BYTES = 64 * 1024
MOST_CHUNK_BYTES = 64 * MIB
MOST_IMAGES = 10


class Taken(BaseModel):
    """A request; fields that it does not know are ignored, so that old and new clients run."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Given(BaseModel):
    """An answer; every field is always there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def _whole(value: object) -> object:
    """5.0 is the integer 5 in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _printable(text: str | None) -> str | None:
    if text is not None and not is_post_id(text):
        raise ValueError(f"must be 1 to {POST_ID_LENGTH} printable characters")
    return text


Whole = Annotated[int, BeforeValidator(_whole)]
PostId = Annotated[
    str | None,
    Field(
        description=f"The post the medium is for; 1 to {POST_ID_LENGTH} printable characters.",
        examples=["post-456"],
    ),
]


class WithPost(Taken):
    """A request that may name a post."""

    post_id: PostId = None

    _check_post_id = field_validator("post_id")(_printable)


class UploadInitIn(WithPost):
    """What `init` takes; the file's bytes follow in chunks."""

    file_name: str = Field(min_length=1, max_length=255, examples=["large_video.mp4"])
    file_size: Whole = Field(ge=1, le=2**63 - 1, description="Bytes.", examples=[524288000])
    content_type: str = Field(min_length=1, max_length=255, examples=["video/mp4"])
    chunk_size: Whole = Field(
        CHUNK_BYTES,
        ge=LEAST_CHUNK_BYTES,
        le=MOST_CHUNK_BYTES,
        description="Bytes of every chunk but the last.",
    )


class UploadInitOut(Given):
    """An upload that was begun."""

    upload_id: str
    chunk_size: int
    total_chunks: int
    upload_url: str = Field(description="The same upload's tus URL.")
    expires_at: datetime | None = Field(description="When it is forgotten unless bytes come.")


class ChunkOut(Given):
    """How far an upload has come with this chunk."""

    upload_id: str
    status: Literal["received", "completed"]
    progress: int = Field(description="Percent of the file's bytes, rounded down.")
    next_chunk: int | None = Field(description="The first chunk that is missing.")
    missing: list[int] = Field(description="The first hundred chunks that are missing.")


class FinalizeIn(WithPost):
    """What `finalize` takes; may be empty."""


class FormFields(WithPost):
    """The fields of a form with files; an empty one counts as absent."""

    model_config = ConfigDict(strict=False)

    media_type: Literal["image", "video"] | None = None
    all_or_nothing: bool = False

    @field_validator("*", mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("all_or_nothing", mode="before")
    @classmethod
    def _unset(cls, value: Any) -> Any:
        return False if value in ("", None) else value


class CleanupIn(Taken):
    """What `cleanup/expired` takes; may be empty."""

    dry_run: bool = Field(False, description="Only count what would be deleted.")


class PublicationIn(Taken):
    """What `published` takes; may be empty."""

    success: bool = Field(True, description="false keeps everything.")
    post_id: str | None = Field(None, description="The URL's post; asked for in a signed call.")


class ReasonOut(Given):
    """One broken rule."""

    code: str = Field(examples=["video_too_long"])
    message: str = Field(examples=["The video lasts 181 s; at most 180 s are allowed."])


class ThumbnailOut(Given):
    """Whether there is a thumbnail, and its size in pixels."""

    status: Literal["pending", "ready", "skipped", "failed"]
    reason: str | None
    width: int | None
    height: int | None


class DerivativeOut(Given):
    """One more file made of a medium, or why there is none."""

    name: str = Field(examples=["thumbnail-320"])
    url: str | None
    content_type: str | None
    width: int | None
    height: int | None
    size: int | None
    status: Literal["pending", "ready", "skipped", "failed"]
    reason: str | None


class MediaOut(Given):
    """A medium: sizes in bytes, durations in seconds, times in RFC 3339, null is not known."""

    id: str = Field(examples=["4e108af1-6c20-5402-86ec-d510624de2e1"])
    upload_id: str = Field(examples=["17afd71528796dc238add389cbd3bdef"])
    post_id: str | None = Field(examples=["post-456"])
    media_type: Literal["image", "video"] | None
    file_name: str | None = Field(examples=["clip.mp4"])
    content_type: str | None = Field(examples=["video/mp4"])
    size: int = Field(examples=[2317701])
    sha256: str | None
    status: Status
    reasons: list[ReasonOut]
    width: int | None
    height: int | None
    duration: float | None
    codec: str | None
    bitrate: int | None
    fps: float | None
    rotation: int | None
    thumbhash: str | None
    url: str | None = Field(description="A signed link to the original.")
    thumbnail_url: str | None = Field(description="A signed link to the thumbnail.")
    thumbnail: ThumbnailOut
    created_at: datetime
    registered_at: datetime | None
    published_at: datetime | None
    deleted_at: datetime | None
    media_id: str = Field(description="The same as `id`.")
    file_path: str | None = Field(
        description="Where the file lies below the data directory; null while it does not."
    )
    derivatives: list[DerivativeOut]
    backend_id: str | None = Field(description="The posts backend's own name for the medium.")
    deleted_because: str | None = Field(
        description="`published`, `asked` or `retention`, once the files are deleted."
    )


class JobOut(Given):
    """What is done for a medium now, or waits to be done."""

    kind: Literal["process", "register"]
    state: Literal["waiting", "running", "parked"]
    step: str | None = Field(description="What is done or was done last; null before it is told.")
    progress: int | None = Field(description="Percent of the work that lies behind the step.")


class UploadStatusOut(Given):
    """How far an upload has come; of a tus upload the chunks are null and empty."""

    upload_id: str
    status: Literal["pending", "uploading", "completed"]
    progress: int = Field(description="Percent of the file's bytes, rounded down.")
    received_bytes: int
    total_bytes: int | None
    chunk_size: int | None
    total_chunks: int | None
    missing_chunks: list[int]
    media: MediaOut | None = Field(description="The medium, once every byte is here.")
    job: JobOut | None = Field(description="Its job; null when nothing is left to be done.")
    events_url: str = Field(description="A signed link to the upload's server-sent events.")


class MediaPage(Given):
    """A page of a list of media."""

    items: list[MediaOut]
    next: str | None = Field(description="The `cursor` of the next page.")


class PostOut(Given):
    """A post and its media."""

    id: str
    owner: str | None = Field(description="Null where its media belong to several users.")
    created_at: datetime
    published_at: datetime | None
    media: list[MediaOut]


class FieldError(Given):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["file_size must be at least 1."])
    code: str | None = Field(None, description="A reason of docs/errors.md.")
    errors: list[FieldError] | None = None
    reasons: list[ReasonOut] | None = None
    media_id: str | None = None
    missing_chunks: list[int] | None = None


class ImageError(Given):
    """Why one image of several was not taken."""

    index: int = Field(description="Its place among the images, from 0.")
    file_name: str | None
    error: Problem


class VideoRules(Given):
    """What a video may be; seconds, pixels, bytes."""

    content_types: list[str]
    extensions: list[str]
    max_size: int
    min_duration: float
    max_duration: float
    max_side: int


class ImageRules(Given):
    """What an image may be; pixels, bytes."""

    content_types: list[str]
    extensions: list[str]
    max_size: int
    min_side: int
    max_side: int


class ChunkRules(Given):
    """Sizes of chunks in bytes."""

    default: int
    min: int
    max: int
    max_chunks: int


class TusFacts(Given):
    """Where and how the same uploads are reached by tus."""

    url: str
    version: str
    extensions: list[str]
    max_size: int


class SupportedFormatsOut(Given):
    """What this server takes."""

    video: VideoRules
    image: ImageRules
    ffmpeg: bool = Field(description="Whether videos get thumbnails.")
    thumbnail_side: int
    chunk_size: ChunkRules
    simple_max_size: int
    images_per_request: int
    tus: TusFacts


class CleanupOut(Given):
    """What was deleted, or would be."""

    dry_run: bool
    expired: int = Field(description="Unfinished uploads past their time.")
    expired_bytes: int
    orphans: int = Field(description="Files that belong to no upload.")
    forgotten: int = Field(description="Uploads long over whose URL is now 404.")
    retired: int = Field(description="Media past TUSD_RETENTION_DAYS.")
    retired_bytes: int


class UsageOut(Given):
    """What one user has taken of the disk, in bytes; `media` counts records by state."""

    owner: str
    media: dict[str, int]
    original_bytes: int
    derived_bytes: int
    stored_bytes: int


class UsagePage(Given):
    """A page of the use of the disk."""

    items: list[UsageOut]
    next: str | None


class HealthOut(Given):
    """The process lives."""

    status: Literal["ok"]


class ReadyOut(Given):
    """Whether the parts can be used, by name."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]
