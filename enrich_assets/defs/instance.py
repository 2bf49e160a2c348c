"""The Dagster instance that commands and UI share, opened. Which folder it stands in belongs to `defs.home`."""

from __future__ import annotations

import os

import dagster as dg

from enrich_assets.core.errors import UserError
from enrich_assets.defs.home import default_home as default_home
from enrich_assets.defs.home import enter_home as enter_home


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME; raises UserError that says what is wrong with it."""
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # Dagster raises many kinds for a bad dagster.yaml; each is the user's to mend
        raise UserError(
            f"the Dagster instance cannot be opened: {str(error).splitlines()[0]}",
            where=os.environ.get("DAGSTER_HOME", ""),
            fix="Correct its dagster.yaml, or unset DAGSTER_HOME to use the project's own.",
        ) from error
