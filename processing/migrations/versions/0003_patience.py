"""Jobs that wait for a service: since when, and how often they were put off."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("begun_at", sa.DateTime(timezone=True)))
        jobs.add_column(sa.Column("postponed", sa.Integer, server_default="0", nullable=False))
    op.execute("UPDATE jobs SET begun_at = created_at")
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("begun_at", existing_type=sa.DateTime(timezone=True), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("postponed")
        jobs.drop_column("begun_at")
