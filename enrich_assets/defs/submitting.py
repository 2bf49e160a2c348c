"""Launching phases of a run through a webserver that is running: its code server executes them, and this command ends.

Belongs here: the way there. Executing in this process belongs to `defs.launch`.
https://docs.dagster.io/api/libraries/dagster-graphql
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from enrich_assets.core.errors import UserError
from enrich_assets.defs.build import asset_key, job_name
from enrich_assets.defs.webhook import UI_URL, ui_link
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase

_PARTITION_TAG = "dagster/partition"
_SECONDS = 60


def submit(graph: Graph, run_id: str, phases: Sequence[Phase]) -> str:
    """Launches phases of a run through the webserver that ENRICH_UI_URL names; gives the launch's page there.

    Raises UserError when nobody answers there, or the webserver refuses.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    address = urlsplit(ui_link())
    try:
        client = DagsterGraphQLClient(
            address.hostname or "",
            port_number=address.port,
            use_https=address.scheme == "https",
            path_prefix=address.path.rstrip("/"),
            timeout=_SECONDS,
        )
        launch_id = client.submit_job_execution(
            job_name(graph),
            tags={_PARTITION_TAG: run_id},
            asset_selection=[asset_key(graph, phase) for phase in phases],
        )
    except DagsterGraphQLClientError as error:
        is_unreachable = "connect" in str(error).lower()
        raise UserError(
            f"no webserver answers at {ui_link()}."
            if is_unreachable
            else f"the webserver refuses the launch: {str(error).splitlines()[0]:.300}",
            where=UI_URL if os.environ.get(UI_URL) else f"{UI_URL} (not set)",
            fix="Start it with enrich ui, or name the one that runs: export ENRICH_UI_URL=http://host:port"
            if is_unreachable
            else f"Without it: enrich resume {run_id}",
        ) from None
    return ui_link(f"runs/{launch_id}")
