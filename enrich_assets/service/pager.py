"""Paging and sorting by links: the same address with one part of it changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request


@dataclass(frozen=True)
class Pager:
    """Where a page stands among the others; links are '' where there is none to go to."""

    page: int
    pages: int
    total: int
    first: int
    """Number of the first thing on the page, from 1; 0 on an empty page."""
    last: int
    before: str
    after: str
    begin: str
    end: str


def pager_of(request: Request, page: int, size: int, total: int) -> Pager:
    """The pager of a page of `size` out of `total` things."""
    pages = max(1, -(-total // size))
    first = (page - 1) * size + 1 if page <= pages and total else 0

    def link(to: int, holds: bool) -> str:
        return address(request, page=to if to > 1 else None) if holds else ""

    return Pager(
        page, pages, total, first, min(total, page * size) if first else 0,
        before=link(min(page - 1, pages), page > 1), after=link(page + 1, page < pages),
        begin=link(1, page > 2), end=link(pages, page < pages - 1),
    )  # fmt: skip


def address(request: Request, **changes: Any) -> str:
    """The request's own address with parts of its query changed; None takes a part away."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changes and value]
    new = [(name, str(value)) for name, value in changes.items() if value is not None]
    return f"{request.url.path}?{urlencode(kept + new)}" if kept or new else request.url.path
