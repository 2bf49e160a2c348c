"""A page whose bytes changed and whose text did not is no new article."""

from __future__ import annotations

import asyncio

import pytest

from enrich_assets.engine.columns import arrow_schema
from enrich_assets.engine.phase import Created
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.intelligence.scraped import Settings, scraped
from enrich_assets.store.content import data_sha256
from enrich_assets_tests.evidence_fakes import article_html, clients_over

SITE = "http://site.example"
SOURCE = {"id": "s", "name": "Site", "url": f"{SITE}/", "kind": "listing"}
PROSE = "The foundry in Tilburg pours housings for pumps, and a controller decides when each of its furnaces runs."


def hash_of(page: str) -> str:
    import pyarrow as pa

    clients = clients_over({f"{SITE}/": '<a href="/a">A</a>', f"{SITE}/a": page})
    found = asyncio.run(scraped(SOURCE, clients, Settings()))
    assert isinstance(found, Created) and len(found.rows) == 1
    graph = GRAPHS["intelligence"]
    columns = graph.columns(graph.phase("scraped"))
    schema = arrow_schema(columns)
    table = pa.Table.from_pylist([{name: found.rows[0].get(name) for name in schema.names}], schema=schema)
    return data_sha256(table, [name for name, column in columns.items() if column.volatile])


@pytest.mark.parametrize(
    ("before", "after", "is_equal"),
    [
        ("<a href='/'>Home</a>", "<a href='/'>Home</a> <a href='/new'>Another link of today</a>", True),
        ("</main></body>", "</main><footer>Served at 12:01</footer></body>", True),
        ("Tilburg", "Breda", False),
    ],
)
def test_what_stands_around_the_text_changes_no_data_hash(before: str, after: str, is_equal: bool) -> None:
    page = article_html("A", *[f"{PROSE} It is number {number}." for number in range(6)])
    changed = page.replace(before, after)
    assert changed != page
    assert (hash_of(page) == hash_of(changed)) is is_equal
