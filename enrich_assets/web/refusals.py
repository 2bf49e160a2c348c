"""Errors of the resolver, the turns and the guard, named after the URL that they are about.

Several requests may share a host or a robots.txt, so their errors know less than the one who asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from enrich_assets.core.errors import AddressRefused, FinalError, TransientError
from enrich_assets.web.answers import final, transient
from enrich_assets.web.guard import refused, without_user
from enrich_assets.web.robots import RulesUnknown


@contextmanager
def naming(url: str) -> Iterator[None]:
    """Names the URL in errors that know only its host."""
    try:
        yield
    except AddressRefused as error:
        if error.where.startswith(("http://", "https://")):
            raise
        raise refused(url, why_refused(error), fix=error.fix) from None
    except TransientError as error:
        if isinstance(error, RulesUnknown) or error.kind not in ("dns", "resting"):
            raise
        raise transient(error.kind, url, error.what, fix=error.fix, retry_after=error.retry_after) from None
    except FinalError as error:
        if error.kind != "dns":
            raise
        raise final("dns", url, error.what, fix=error.fix) from None


@contextmanager
def naming_redirect(url: str, target: str) -> Iterator[None]:
    """Says of a refused address that a redirect from `url` chose it: nobody who asked for `url` meant it.

    So there is no advice to allow it. `target` is '' where there was no redirect yet.
    """
    try:
        yield
    except AddressRefused as error:
        if not target:
            raise
        why = f"a redirect led to {without_user(target)[:300]}, and {why_refused(error)}"
        raise refused(url, why, fix="Leave it out, or tell the site.") from None


def why_refused(error: AddressRefused) -> str:
    """The reason of a refusal without its introduction."""
    return error.what.partition(": ")[2].rstrip(".")
