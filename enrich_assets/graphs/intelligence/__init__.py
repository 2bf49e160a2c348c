"""From feeds to a ranked, enriched, cited report. The list below is the graph: one line a phase."""

from __future__ import annotations

from enrich_assets.engine.graph import Graph
from enrich_assets.graphs.intelligence.demo.site import demo_site
from enrich_assets.graphs.intelligence.enriched import enriched
from enrich_assets.graphs.intelligence.initialized import initialized
from enrich_assets.graphs.intelligence.paraphrased import paraphrased
from enrich_assets.graphs.intelligence.ranked import ranked
from enrich_assets.graphs.intelligence.report import report
from enrich_assets.graphs.intelligence.scraped import scraped
from enrich_assets.graphs.intelligence.settings import SharedSettings
from enrich_assets.graphs.intelligence.tier1 import tier1
from enrich_assets.graphs.intelligence.tier2 import tier2
from enrich_assets.graphs.intelligence.tier3 import tier3
from enrich_assets.graphs.intelligence.validated import validated

INTELLIGENCE = Graph(
    "intelligence",
    [
        initialized,
        scraped,
        tier1,
        tier2,
        tier3,
        ranked,
        paraphrased,
        enriched,
        validated,
        report,
    ],
    shared=SharedSettings,
    prefixed=False,
    description="From feeds and pages to a ranked, enriched, cited report.",
    sites={"demo": demo_site},
)
