"""The project's own Dagster definitions, and the function that gives them to another project.

Merge them into yours: `dg.Definitions.merge(yours, build_definitions(key_prefix="enrich"))`.
"""

from __future__ import annotations

import dagster as dg

from enrich_assets.defs.build import build_definitions

__all__ = ["build_definitions", "defs"]

# The executor is for this project alone, not for those that merge these definitions into theirs: a step as a process
# of its own would take 4 s to start, and the work inside is asynchronous anyway.
defs: dg.Definitions = dg.Definitions.merge(build_definitions(), dg.Definitions(executor=dg.in_process_executor))
