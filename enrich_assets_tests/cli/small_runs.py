"""Runs as most people make them: settings that name little, one source on loopback, three articles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TEXTS = {
    1: (
        "The port of Northport opened a crane on its western quay on Tuesday, after two years of work and a strike.",
        "It lifts forty containers an hour, while the two cranes beside it, built in 1987, managed eighteen at best.",
        "Harbour master Jane Smith of Northport Docks said that ships no longer wait at sea until the tide turns.",
        "The authority paid 31 million euros for the machine and expects the sum back within nine years of full work.",
        "Shipping lines had complained since 2019 that every third vessel left the berth later than its papers said.",
    ),
    2: (
        "Electric tugs will pull the tankers into Southhaven from spring on, the company that owns the port announced.",
        "Each carries batteries of six megawatt hours, enough for a day of ten journeys between pilot and terminal.",
        "Fishermen welcome the silence: diesel engines used to wake whole streets whenever a tanker came in at night.",
        "An engineer of Bright Marine explained that the hull had to be widened by a metre to bear so much weight.",
        "The crane that lifts batteries out for repair was ordered from a yard in Gdynia and arrives in February.",
    ),
    3: (
        "A railway now reaches the quay of Eastmouth, so that grain need not be carried through the old town by lorry.",
        "Seven trains a day are planned, each with thirty wagons that a port crane empties within fifty minutes.",
        "Residents counted four hundred lorries on a single August morning before the council voted for the line.",
        "Conductors train on a simulator that a school in Lyon built out of parts of a retired locomotive.",
        "Exporters hope that barley harvested inland will be on the water a week earlier than in any former year.",
    ),
}
"""Sentences of three articles that have nothing in common but ports and cranes."""


def article(number: int, **values: Any) -> dict[str, Any]:
    """One of three items of a JSON Feed, which carries its whole text; `values` replace what it has."""
    return {
        "id": str(number),
        "url": f"/article/{number}",
        "title": f"Port report {number}: {TEXTS[number][0].partition(',')[0]}",
        "content_text": "\n\n".join(" ".join(TEXTS[number][n:] + TEXTS[number][:n]) for n in range(3)),
        "date_published": f"{datetime.now(UTC) - timedelta(days=number):%Y-%m-%dT08:00:00Z}",
        **values,
    }


@contextmanager
def feed_of(items: Sequence[Mapping[str, Any]]) -> Iterator[HTTPServer]:
    """A server on loopback that has these items as `/feed.json`."""
    with HTTPServer(host="127.0.0.1") as server:

        def feed(request: Request) -> Response:
            placed = [{**item, "url": server.url_for(str(item["url"]))} for item in items]
            body = {"version": "https://jsonfeed.org/version/1.1", "title": "Harbour News", "items": placed}
            return Response(json.dumps(body), mimetype="application/feed+json")

        server.expect_request("/feed.json").respond_with_handler(feed)
        server.expect_request("/robots.txt").respond_with_data("User-agent: *\nAllow: /\n")
        yield server


def settings_file(folder: Path, server: HTTPServer, **values: Any) -> Path:
    """A settings file that says what it has to and leaves the rest at its defaults; JSON is YAML too."""
    written = {
        "language": "en",
        "company": {"name": "Harbour Works", "interests": ["cranes", "automation"]},
        "sources": [{"id": "harbour", "name": "Harbour News", "url": server.url_for("/feed.json")}],
        "categories": [
            {"id": "ports", "name": "Ports", "description": "How ports change.", "keywords": ["port", "crane"]}
        ],
        "http": {"allow_hosts": [f"127.0.0.1:{server.port}"]},
        **values,
    }
    path = folder / "settings.yaml"
    path.write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
    return path
