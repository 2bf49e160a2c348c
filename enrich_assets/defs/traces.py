"""Traces of a forgotten pattern: what in stored pages, answers and artifacts comes from it. Reads, and writes nothing.

Belongs here: how something is recognised. What is done about it belongs to `defs.forgetting`. No Dagster here.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from enrich_assets.core.errors import ArtifactError
from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.stored_answers import Answer
from enrich_assets.store.artifacts import Loaded
from enrich_assets.store.store import Store
from enrich_assets.web.forgotten import FORGOTTEN, Pattern
from enrich_assets.web.page_store import PageStore
from enrich_assets.web.search_index import tokens
from enrich_assets.web.urls import canonicalize

_URL = re.compile(r"https?://[^\s'\"<>]+")
_MARKUP = re.compile(r"<[^>]{0,2000}>")
_QUOTED_WORDS = 8
"""Words in a row that two texts share by quoting rather than by chance (the length of a shingle in Broder, 1997, is
chosen likewise; names and figures of speech are shorter)."""
_LEAST_WORDS = 5
"""Words of the shortest whole sentence that counts as a quote; shorter ones are names."""


@dataclass
class Traces:
    """What was found of one pattern."""

    pattern: Pattern
    bodies: set[str] = field(default_factory=set)
    """Hashes of documents that came from it alone."""
    shared: set[str] = field(default_factory=set)
    """Hashes of documents that came from it and from elsewhere too; they stay."""
    page_answers: set[int] = field(default_factory=set)
    runs_that_fetched: set[str] = field(default_factory=set)
    row_ids: set[str] = field(default_factory=set)
    """Names of the articles that were read there."""
    said: set[int] = field(default_factory=set)
    """Hashes of every few words in a row of its documents and articles."""
    whole: list[str] = field(default_factory=list)
    """The words of each of them."""

    def is_of_it(self, url: Any) -> bool:
        """Whether a value is a URL that the pattern means."""
        return isinstance(url, str) and self.pattern.matches(url)

    def note_text(self, text: str) -> None:
        """Learns what stands in a document or an article of it, to know it again where it is quoted."""
        words = tokens(text)
        self.said.update(_runs_of(words))
        self.whole.append(f" {' '.join(words)} ")

    def note_url(self, url: str) -> None:
        """Learns the name of the row that an article at this URL has."""
        self.row_ids.add(sha256(canonicalize(url).encode("utf-8", "replace"))[:16])

    def is_quoted_in(self, text: str) -> bool:
        """Whether a text repeats some of its words."""
        words = tokens(text)
        if len(words) >= _QUOTED_WORDS:
            return any(run in self.said for run in _runs_of(words))
        sought = f" {' '.join(words)} "
        return len(words) >= _LEAST_WORDS and any(sought in whole for whole in self.whole)


def find_pages(traces: Traces, ledger: Ledger, pages: PageStore) -> None:
    """Documents and page answers of the pattern: by the URL that was asked for, those on the way, and the final one."""
    elsewhere: set[str] = set()
    found: set[str] = set()
    for answer in ledger.answers("page"):
        addresses = _addresses_of_answer(answer)
        key = answer.content.get("sha256") if isinstance(answer.content, dict) else None
        if any(map(traces.is_of_it, addresses)):
            traces.page_answers.add(answer.id)
            traces.runs_that_fetched.add(answer.run_id)
            found |= {key} if key else set()
            _note_addresses(traces, addresses)
        elif key:
            elsewhere.add(key)
    for key in pages.hashes():
        for record in pages.records(key):
            addresses = addresses_of(record)
            if any(map(traces.is_of_it, addresses)):
                found.add(key)
                _note_addresses(traces, addresses)
            else:
                elsewhere.add(key)
    traces.bodies, traces.shared = found - elsewhere, found & elsewhere
    for key in sorted(traces.bodies):
        try:
            traces.note_text(_plain(pages.get(key)))
        except ArtifactError:
            continue  # lost or damaged: nothing can be read in it, and it goes all the same


def first_holding(traces: Traces, graph: Graph, run_id: str, store: Store) -> str:
    """The first phase of a run whose artifact, or a version that is kept of it, holds something of the pattern; ''
    where none does. Learns from the articles on the way."""
    first = ""
    for phase in graph.names:
        holds = False
        for loaded in _loaded(graph.name, run_id, phase, store):
            holds |= _holds(traces, loaded)
        if _rows_without(traces, graph.name, run_id, phase, store):
            holds = True
        if holds and not first:
            first = phase
    return first


def without_it(traces: Traces, registered: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's registration without the articles of earlier runs that came from the pattern; None where there are
    none of them."""
    earlier = registered.get("earlier") or []
    left = [article for article in earlier if not _mentions(traces, article)]
    return {**registered, "earlier": left} if len(left) < len(earlier) else None


def quoting(traces: Traces, answer: Answer, phases_that_quote: set[str]) -> bool:
    """Whether a model's answer is about an article of the pattern, or quotes what stands in one.

    Quotes are looked for only in phases whose prompts hold other pages than the row's own text.
    """
    if answer.row_id in traces.row_ids:
        return True
    if answer.phase not in phases_that_quote:
        return False
    return any(traces.is_quoted_in(text) or traces.is_of_it(text) for text in _strings(_parsed(answer.content)))


def hits_left(traces: Traces, answer: Answer) -> dict[str, Any] | None:
    """The content of a search answer without the hits of the pattern; None where it has none of them."""
    hits = answer.content.get("hits") if isinstance(answer.content, dict) else None
    if not isinstance(hits, list):
        return None
    left = [hit for hit in hits if not _mentions(traces, hit)]
    return {**answer.content, "hits": left} if len(left) < len(hits) else None


def _addresses_of_answer(answer: Answer) -> list[str]:
    if answer.final or not isinstance(answer.content, dict):
        return [found.rstrip(".,:;)") for found in _URL.findall(answer.final)]
    return addresses_of(answer.content)


def addresses_of(record: Mapping[str, Any]) -> list[str]:
    """The URL that was asked for, those on the way, and the final one."""
    found = [record.get("url"), *(record.get("redirects") or ()), record.get("final_url")]
    return [url for url in found if isinstance(url, str)]


def _note_addresses(traces: Traces, addresses: Iterable[str]) -> None:
    for url in addresses:
        if traces.is_of_it(url):
            traces.note_url(url)


def _loaded(graph: str, run_id: str, phase: str, store: Store) -> Iterator[Loaded]:
    with suppress(ArtifactError):  # of a damaged one nobody can tell; it is made again by the next resume
        yield store.load(graph, run_id, phase, even_blocked=True)
    for version in store.versions(graph, run_id, phase):
        try:
            yield store.load_version(graph, run_id, phase, version.artifact_id)
        except ArtifactError:
            continue


def _holds(traces: Traces, loaded: Loaded) -> bool:
    if loaded.document is not None:
        # Of documents the registration alone holds articles that come from nowhere else; a report is made of the rest.
        return any(_mentions(traces, article) for article in loaded.document.get("earlier") or ())
    assert loaded.table is not None
    held = [row for row in loaded.table.to_pylist() if row["row_id"] in traces.row_ids or _mentions(traces, row)]
    for row in held:
        # An entity's page may be of the pattern while the article is not.
        if any(traces.is_of_it(row.get(column)) for column in ("url", "canonical_url")):
            traces.row_ids.add(row["row_id"])
            traces.note_text(f"{row.get('title') or ''}\n{row.get('text') or ''}")
    return bool(held)


def _rows_without(traces: Traces, graph: str, run_id: str, phase: str, store: Store) -> bool:
    """Whether rows that were dropped or failed are of it; those that name what was refused already are not."""
    for side, reason in (("dropped", "drop_reason"), ("failed", "failure_kind")):
        try:
            rows = store.side(graph, run_id, phase, side).to_pylist()
        except ArtifactError:
            continue
        if any(_mentions(traces, row) for row in rows if row.get(reason) != FORGOTTEN):
            return True
    return False


def _mentions(traces: Traces, value: Any) -> bool:
    """Whether one of its values is a URL of the pattern or the hash of a document of it."""
    return any(text in traces.bodies or traces.is_of_it(text) for text in _strings(value) if len(text) <= 4000)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def _parsed(content: Any) -> Any:
    text = content.get("text") if isinstance(content, dict) else None
    try:
        return json.loads(text) if isinstance(text, str) else content
    except ValueError:
        return text


def _plain(body: bytes) -> str:
    """The text of a document, whatever it is: without tags, and without the escapes of a feed's HTML."""
    text = body.decode("utf-8", "replace")
    for _ in range(2):
        text = html.unescape(_MARKUP.sub(" ", text))
    return text


def _runs_of(words: list[str]) -> Iterator[int]:
    return (hash(tuple(words[start : start + _QUOTED_WORDS])) for start in range(len(words) - _QUOTED_WORDS + 1))
