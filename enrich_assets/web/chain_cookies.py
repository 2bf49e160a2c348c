"""Cookies within one chain of redirects: some sites send back to the same address with a cookie and loop without it.

They live as long as the chain and are kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import aiohttp
import httpx

from enrich_assets.web.answers import Reading
from enrich_assets.web.guard import on_the_wire
from enrich_assets.web.urls import on_same_site

_LONGEST = 8_000
"""Characters that are sent; what is more would be refused by most servers."""
_DOMAIN = re.compile(r";\s*domain\s*=\s*\.?([^;\s]+)", re.IGNORECASE)


class ChainCookies:
    """The cookies of one chain, by the rules of RFC 6265 for domain, path, `Secure` and age."""

    def __init__(self) -> None:
        self._jar: aiohttp.CookieJar | None = None

    def take(self, set_cookies: Sequence[str], url: httpx.URL) -> bool:
        """Takes the Set-Cookie headers of the answer from `url`; says whether what is sent there is another now."""
        usable = [line for line in set_cookies if line.isascii() and line.isprintable() and _is_own(line, url)]
        if not usable:
            return False
        before = self.header(url)
        if self._jar is None:
            self._jar = aiohttp.CookieJar(unsafe=True)  # "unsafe" means cookies of hosts without a name
        self._jar.update_cookies_from_headers(usable, on_the_wire(url))
        return self.header(url) != before

    def added_to(self, reading: Reading, url: httpx.URL) -> Reading:
        """`reading` as it is made for `url`, with the cookies that belong there."""
        header = self.header(url)
        return replace(reading, sent={**reading.sent, "Cookie": header}) if header else reading

    def header(self, url: httpx.URL) -> str:
        """The Cookie header for `url`; '' for none."""
        if self._jar is None:
            return ""
        kept = self._jar.filter_cookies(on_the_wire(url)).values()
        return "; ".join(f"{cookie.key}={cookie.coded_value}" for cookie in kept)[:_LONGEST]


def _is_own(line: str, url: httpx.URL) -> bool:
    """Whether a cookie is for the host that sets it or its own site; none is set for all of `co.uk`."""
    domain = _DOMAIN.search(line)
    return domain is None or on_same_site(f"http://{domain.group(1)}/", str(url))
