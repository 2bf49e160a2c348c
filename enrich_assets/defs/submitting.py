"""Launching phases of a run through a webserver that is running: its code server executes them, and this command ends.

Belongs here: the way there. Executing in this process belongs to `defs.launch`.
https://docs.dagster.io/api/libraries/dagster-graphql
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from enrich_assets.core.errors import UserError
from enrich_assets.defs.build import asset_key, job_name
from enrich_assets.defs.registered import settings_tag
from enrich_assets.defs.running_ui import running_ui, storage_and_ledger
from enrich_assets.defs.webhook import UI_URL, ui_link
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Phase

_PARTITION_TAG = "dagster/partition"
_SECONDS = 60
_PARTITIONS = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename ... on AssetNode { partitionKeys } } }
"""


def submit(graph: Graph, run_id: str, phases: Sequence[Phase], ledger: Ledger) -> str:
    """Launches phases of a run through the webserver of this instance; gives the launch's page there.

    It is the one that ENRICH_UI_URL names, else the one that `enrich ui` runs. Raises UserError when nobody answers
    there, when it is another instance's or works on another storage, or when it refuses.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    _refuse_another_storage(run_id)
    _refuse_another_instance(graph, run_id, phases)
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
            tags={_PARTITION_TAG: run_id, **settings_tag(run_id, ledger)},
            asset_selection=[asset_key(graph, phase) for phase in phases],
        )
    except DagsterGraphQLClientError as error:
        raise _refusal(f"refuses the launch: {str(error).splitlines()[0]:.300}", run_id) from None
    return ui_link(f"runs/{launch_id}")


def _refuse_another_storage(run_id: str) -> None:
    """Raises UserError where the webserver is known to work on another storage or ledger than this command."""
    ui = running_ui()
    if ui is None or ui_link() != f"{ui.url}/":
        return
    storage, ledger = storage_and_ledger()
    for name, its_own, ours in (("ENRICH_STORAGE", ui.storage, storage), ("ENRICH_LEDGER_URL", ui.ledger, ledger)):
        if its_own != ours:
            raise UserError(
                f"the webserver at {ui.url} works with {name} {its_own or '(not set)'}, and this command with "
                f"{ours or '(not set)'}: it would not find this run.",
                where=name,
                fix=f"Start enrich ui with the same {name}, or without the webserver: enrich resume {run_id}",
            )


def _refuse_another_instance(graph: Graph, run_id: str, phases: Sequence[Phase]) -> None:
    """Raises UserError where the webserver does not answer, or does not know the run."""
    variables = {"key": {"path": list(asset_key(graph, phases[0]).path)}}
    try:
        response = httpx.post(
            ui_link("graphql"), json={"query": _PARTITIONS, "variables": variables}, timeout=_SECONDS
        ).raise_for_status()
        node = response.json()["data"]["assetNodeOrError"]
    except (httpx.ConnectError, httpx.TimeoutException, httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise UserError(
            f"no webserver answers at {ui_link()}.",
            where=_named(),
            fix="Start it with enrich ui, or name the one that runs: export ENRICH_UI_URL=http://host:port",
        ) from None
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise _refusal(f"gives no answer of a Dagster webserver ({type(error).__name__}).", run_id) from None
    if node.get("__typename") != "AssetNode":
        raise _refusal(f"serves no asset {'/'.join(variables['key']['path'])}.", run_id)
    if run_id not in node["partitionKeys"]:
        raise _refusal(
            f"belongs to another Dagster instance: it does not know the run {run_id}.",
            run_id,
            fix="Call this with the DAGSTER_HOME of that webserver, or name another in ENRICH_UI_URL. ",
        )


def _refusal(what: str, run_id: str, fix: str = "") -> UserError:
    return UserError(
        f"the webserver at {ui_link()} {what}", where=_named(), fix=f"{fix}Without it: enrich resume {run_id}"
    )


def _named() -> str:
    return UI_URL if os.environ.get(UI_URL) else f"{UI_URL} (not set)"
