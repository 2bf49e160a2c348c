"""Version 1: runs with their phases, and the answers that were paid for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Adds the tables of version 1."""
    op.create_table(
        "enrich_schema",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.String(200), nullable=False),
    )
    op.create_table(
        "enrich_runs",
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("graph", sa.String(60), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("preset", sa.String(100), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("registration", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_enrich_runs_created_at", "enrich_runs", ["created_at"])
    op.create_table(
        "enrich_phases",
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("phase", sa.String(60), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.String(40)),
        sa.Column("ended_at", sa.String(40)),
        sa.Column("heartbeat_at", sa.String(40)),
        sa.Column("rows_in", sa.Integer),
        sa.Column("rows_done", sa.Integer),
        sa.Column("rows_out", sa.Integer),
        sa.Column("dropped", sa.Integer),
        sa.Column("failed", sa.Integer),
        sa.Column("calls", sa.Integer),
        sa.Column("reused", sa.Integer),
        sa.Column("tokens_in", sa.Integer),
        sa.Column("tokens_out", sa.Integer),
        sa.Column("cost", sa.Float),
        sa.Column("message", sa.Text),
    )
    op.create_table(
        "enrich_answers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("made_at", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("final", sa.Text),
        sa.Column("final_kind", sa.String(60)),
        sa.Column("tokens_in", sa.Integer, nullable=False),
        sa.Column("tokens_out", sa.Integer, nullable=False),
        sa.Column("cost", sa.Float),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("run_id", sa.String(100), nullable=False),
        sa.Column("phase", sa.String(60), nullable=False),
        sa.Column("row_id", sa.String(200), nullable=False),
    )
    op.create_index("enrich_answers_by_request", "enrich_answers", ["request_hash", "made_at"])
