"""When a record last changed, so that listeners ask only for what is new."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    with op.batch_alter_table("media") as media:
        media.add_column(sa.Column("changed_at", moment))
    op.execute("UPDATE media SET changed_at = received_at")
    with op.batch_alter_table("media") as media:
        media.alter_column("changed_at", existing_type=moment, nullable=False)
    op.create_index("ix_media_changed", "media", ["changed_at"])


def downgrade() -> None:
    op.drop_index("ix_media_changed", "media")
    with op.batch_alter_table("media") as media:
        media.drop_column("changed_at")
