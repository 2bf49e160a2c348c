"""The project's own Dagster definitions, and the function that gives them to another project.

Merge them into yours: `dg.Definitions.merge(yours, build_definitions(key_prefix="enrich"))`.
"""

from __future__ import annotations

import dagster as dg

from enrich_assets.defs.build import build_definitions

__all__ = ["build_definitions", "defs"]

defs: dg.Definitions = build_definitions()
