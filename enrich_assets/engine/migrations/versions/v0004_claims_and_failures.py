"""Version 4: who asks for what at present, which rows failed in a phase that published nothing, and how long phases
took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the tables of version 4, and columns to the phases and the wishes to ask again."""
    op.create_table(
        "enrich_claims",
        sa.Column("request_hash", sa.String(64), primary_key=True),
        sa.Column("lease", sa.String(200), nullable=False),
        sa.Column("token", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "enrich_failures",
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("phase", sa.String(60), primary_key=True),
        sa.Column("failed", sa.LargeBinary, nullable=False),
    )
    op.add_column("enrich_renewals", sa.Column("retry_rows", sa.LargeBinary))
    op.add_column("enrich_phases", sa.Column("seconds", sa.Float(53)))
    op.add_column("enrich_phases", sa.Column("begun", sa.Integer))
