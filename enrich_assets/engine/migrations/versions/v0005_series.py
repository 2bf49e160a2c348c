"""Version 5: the series that a run belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds a column to the runs."""
    op.add_column("enrich_runs", sa.Column("series", sa.String(200)))
