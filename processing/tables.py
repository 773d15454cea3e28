"""The tables: every medium for ever, the jobs still to be done, and the posts."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

from processing.moments import utc_now


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database; SQLite's text form sorts as moments do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC; a naive one is a ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A moment without a time zone was given; give one in UTC.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """An aware moment in UTC, also where the database keeps no zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

media = Table(
    "media",
    metadata,
    Column("id", String, primary_key=True),
    Column("upload_id", String, nullable=False, unique=True),
    Column("owner", String, nullable=False),
    Column("post_id", String),
    Column("status", String, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("media_type", String),
    Column("file_name", String),
    Column("content_type", String),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String),
    Column("width", Integer),
    Column("height", Integer),
    Column("duration", Float),
    Column("codec", String),
    Column("bitrate", BigInteger),
    Column("fps", Float),
    Column("rotation", Integer),
    Column("thumbhash", String),
    Column("probe", String),
    Column("path", String, unique=True),
    Column("thumbnail_path", String, unique=True),
    Column("thumbnail_status", String),
    Column("thumbnail_reason", String),
    Column("thumbnail_width", Integer),
    Column("thumbnail_height", Integer),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("registered_at", UtcDateTime),
    Column("published_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
    Column("backend_id", String),
    Column("thumbnail_type", String),
    Column("derivatives", JSON),
    Column("deleted_because", String),
    # Set by every update of a row, wherever it is written.
    Column("changed_at", UtcDateTime, nullable=False, onupdate=utc_now),
    Index("ix_media_created", "created_at", "id"),
    Index("ix_media_owner_created", "owner", "created_at", "id"),
    Index("ix_media_post", "post_id"),
    Index("ix_media_status", "status"),
    Index("ix_media_changed", "changed_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False, unique=True),
    Column("payload", JSON, nullable=False),
    Column("visible_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("token", String),
    Column("last_error", String),
    Column("parked", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("media_id", String),
    Column("rank_at", UtcDateTime, nullable=False),
    Column("step", String),
    Column("progress", Float),
    Column("begun_at", UtcDateTime, nullable=False),
    Column("postponed", Integer, nullable=False),
    Index("ix_jobs_parked_visible", "parked", "visible_at"),
    Index("ix_jobs_media", "media_id"),
    Index("ix_jobs_parked_rank", "parked", "rank_at"),
)

posts = Table(
    "posts",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),
    Index("ix_posts_owner_created", "owner", "created_at"),
)
