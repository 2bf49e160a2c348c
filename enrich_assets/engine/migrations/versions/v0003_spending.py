"""Version 3: what was spent, what processes share of an endpoint, and what a person wants paused or asked again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the tables of version 3, and a column each to the runs and the answers."""
    op.add_column("enrich_runs", sa.Column("pause_asked_at", sa.String(40)))
    op.add_column("enrich_answers", sa.Column("superseded", sa.Integer))
    op.create_table(
        "enrich_spending",
        sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.String(100), nullable=False),
        sa.Column("phase", sa.String(60), nullable=False),
        sa.Column("row_id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("endpoint", sa.String(200), nullable=False),
        sa.Column("reserved_at", sa.String(40), nullable=False),
        sa.Column("reserved", sa.Float(53)),
        sa.Column("settled_at", sa.String(40)),
        sa.Column("cost", sa.Float(53)),
        sa.Column("tokens_in", sa.Integer),
        sa.Column("tokens_out", sa.Integer),
        sa.Column("error", sa.String(300)),
    )
    op.create_index("enrich_spending_by_phase", "enrich_spending", ["run_id", "phase"])
    op.create_table(
        "enrich_totals",
        sa.Column("scope", sa.String(200), primary_key=True),
        sa.Column("spent", sa.Float(53), nullable=False),
        sa.Column("reserved", sa.Float(53), nullable=False),
        sa.Column("unsettled", sa.Integer, nullable=False),
        sa.Column("unpriced", sa.Integer, nullable=False),
        sa.Column("cap", sa.Float(53)),
    )
    op.create_table(
        "enrich_limits",
        sa.Column("endpoint", sa.String(200), primary_key=True),
        sa.Column("next_request", sa.Float(53), nullable=False),
        sa.Column("next_tokens", sa.Float(53), nullable=False),
        sa.Column("not_before", sa.Float(53), nullable=False),
    )
    op.create_table(
        "enrich_members",
        sa.Column("endpoint", sa.String(200), primary_key=True),
        sa.Column("member", sa.String(200), primary_key=True),
        sa.Column("granted", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "enrich_renewals",
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("phase", sa.String(60), primary_key=True),
        sa.Column("again_from", sa.String(40)),
        sa.Column("retry_from", sa.String(40)),
    )
