"""What the posts backend answered, derivatives, why files went, and jobs one can watch."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_MEDIA = ("backend_id", "thumbnail_type", "derivatives", "deleted_because")
_JOBS = ("media_id", "rank_at", "step", "progress")


def upgrade() -> None:
    with op.batch_alter_table("media") as media:
        media.add_column(sa.Column("backend_id", sa.String))
        media.add_column(sa.Column("thumbnail_type", sa.String))
        media.add_column(sa.Column("derivatives", sa.JSON))
        media.add_column(sa.Column("deleted_because", sa.String))
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("media_id", sa.String))
        jobs.add_column(sa.Column("rank_at", sa.DateTime(timezone=True)))
        jobs.add_column(sa.Column("step", sa.String))
        jobs.add_column(sa.Column("progress", sa.Float))
    # Jobs that waited keep their turn.
    op.execute("UPDATE jobs SET rank_at = created_at")
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("rank_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    op.create_index("ix_jobs_media", "jobs", ["media_id"])
    op.create_index("ix_jobs_parked_rank", "jobs", ["parked", "rank_at"])


def downgrade() -> None:
    for index in ("ix_jobs_parked_rank", "ix_jobs_media"):
        op.drop_index(index, "jobs")
    for table, columns in (("jobs", _JOBS), ("media", _MEDIA)):
        with op.batch_alter_table(table) as altered:
            for column in columns:
                altered.drop_column(column)
