"""Evidence: a quote where it stands in the text of a stored page, or why it cannot be shown there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from enrich_assets.core.errors import StorageError
from enrich_assets.store.store import Store
from enrich_assets.web.forgotten import ForgottenFile
from enrich_assets.web.page_store import PageStore
from enrich_assets.web.text_store import TextStore

_AROUND = 420
"""Characters of the page's text before and after a quote."""
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Passage:
    """A quote between what stands around it; `note` says what is missing where the text is."""

    quote: str
    before: str = ""
    after: str = ""
    title: str = ""
    note: str = ""


class Known(dict[str, Any]):
    """The values of a record for a template: what the record does not have is None."""

    def __missing__(self, key: str) -> None:
        return None


@dataclass(frozen=True)
class Evidence:
    """One statement of a row with the passage that carries it: the values of its record, and the passage."""

    value: Mapping[str, Any]
    passage: Passage | None


def evidence_in(row: Mapping[str, Any], store: Store) -> Iterator[tuple[str, list[Evidence]]]:
    """Each column of a row that holds records with a quote and the page that it stands on."""
    for column, value in row.items():
        records = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        if records and {"quote", "page_sha256"} <= set(records[0]):
            yield column, [Evidence(Known(record), passage_of(record, store)) for record in records]


def passage_of(record: Mapping[str, Any], store: Store) -> Passage | None:
    """The passage of a record with quote, page_sha256 and quote_start; None for a record without a quote."""
    quote, page, start = str(record.get("quote") or ""), str(record.get("page_sha256") or ""), record.get("quote_start")
    if not quote:
        return None
    if not _SHA256.fullmatch(page) or not isinstance(start, int):
        return Passage(quote, note="The record does not say where on the page the quote stands.")
    try:
        found = TextStore(store.root).kept(page)
        for extracted in found:
            if start >= 0 and extracted.text[start : start + len(quote)] == quote:
                return _around(extracted.text, start, quote, extracted.title)
        return Passage(quote, note=_why_not(store, page, str(record.get("url") or ""), bool(found)))
    except StorageError as error:
        return Passage(quote, note=f"The page's text cannot be read: {error.what}")


def _around(text: str, start: int, quote: str, title: str) -> Passage:
    end = start + len(quote)
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    if start > _AROUND:
        before = "… " + before.partition(" ")[2]
    if end + _AROUND < len(text):
        after = after.rpartition(" ")[0] + " …"
    return Passage(quote, before, after, title)


def _why_not(store: Store, page: str, url: str, has_text: bool) -> str:
    if has_text:
        return "The text that is kept of this page does not have the quote at its place."
    if ForgottenFile(store.root).holding().covers(url):
        return "This page was forgotten on request, and its text with it."
    if PageStore(store.root).verify(page):
        return "The page is stored, but not the text that was taken from it; the quote was verified when it was found."
    return "This page is no longer stored; the quote was verified when it was found."
