"""How a ledger of an older version becomes one of the present version: an alembic environment and its versions.

Belongs here: what alembic reads. When it is called belongs to `engine.database`; commands never import this.
"""
