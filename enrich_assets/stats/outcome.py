"""What a figure may know besides the table: how the rows fared, and what came before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Counts, Envelope


@dataclass(frozen=True)
class Outcome:
    """`sides` are the phase's side tables by name, `document` what a document phase publishes, `settings` the phase's
    own. `history` has the envelopes of the phases that it was made from, in the graph's order: all of those before it
    where the phase reads them all."""

    counts: Counts
    sides: Mapping[str, pa.Table] = field(default_factory=dict)
    settings: Any = None
    history: Mapping[str, Envelope] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
