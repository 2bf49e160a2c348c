"""What alembic executes for an upgrade: all steps on the connection, and in the transaction, of the caller."""

from __future__ import annotations

from alembic import context

from enrich_assets.engine.tables import migrations

context.configure(connection=context.config.attributes["connection"], version_table=migrations.name)
context.run_migrations()
