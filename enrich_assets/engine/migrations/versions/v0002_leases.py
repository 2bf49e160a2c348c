"""Version 2: the leases under which processes work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the table of leases."""
    op.create_table(
        "enrich_leases",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("token", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
    )
