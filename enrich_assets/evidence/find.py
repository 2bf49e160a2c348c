"""Finding: from a question to the addresses that are read for it. Nothing is fetched here."""

from __future__ import annotations

from enrich_assets.engine.clients import Clients
from enrich_assets.evidence.choosers import by_title
from enrich_assets.evidence.question import Question


async def find(clients: Clients, question: Question, *, limit: int) -> list[str]:
    """At most `limit` URLs, best first, each of them a hit of the search; raises CallError of the search.

    Whatever a chooser gives back besides URLs of the hits is left out, so that no address from elsewhere is read.
    """
    hits = await clients.search.find(question.query, limit=2 * limit + 2)
    chooser = clients.chooser or by_title
    chosen = dict.fromkeys(chooser(hits, question.about, limit=limit))
    found = {hit.url for hit in hits}
    return [url for url in chosen if url in found][:limit]
