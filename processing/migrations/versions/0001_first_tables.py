"""The first tables: media, jobs, posts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_media()
    _create_jobs()
    _create_posts()


def downgrade() -> None:
    for table in ("posts", "jobs", "media"):
        op.drop_table(table)


def _create_media() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("upload_id", sa.String, nullable=False, unique=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("post_id", sa.String),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("media_type", sa.String),
        sa.Column("file_name", sa.String),
        sa.Column("content_type", sa.String),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("duration", sa.Float),
        sa.Column("codec", sa.String),
        sa.Column("bitrate", sa.BigInteger),
        sa.Column("fps", sa.Float),
        sa.Column("rotation", sa.Integer),
        sa.Column("thumbhash", sa.String),
        sa.Column("probe", sa.String),
        sa.Column("path", sa.String, unique=True),
        sa.Column("thumbnail_path", sa.String, unique=True),
        sa.Column("thumbnail_status", sa.String),
        sa.Column("thumbnail_reason", sa.String),
        sa.Column("thumbnail_width", sa.Integer),
        sa.Column("thumbnail_height", sa.Integer),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True)),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_media_created", "media", ["created_at", "id"])
    op.create_index("ix_media_owner_created", "media", ["owner", "created_at", "id"])
    op.create_index("ix_media_post", "media", ["post_id"])
    op.create_index("ix_media_status", "media", ["status"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("visible_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("token", sa.String),
        sa.Column("last_error", sa.String),
        sa.Column("parked", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_jobs_parked_visible", "jobs", ["parked", "visible_at"])


def _create_posts() -> None:
    op.create_table(
        "posts",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_posts_owner_created", "posts", ["owner", "created_at"])
