"""What a site's robots.txt allows (RFC 9309): the rules for one reader, and one look at each file a day.

Belongs here: choosing the group, asking protego, and which failure means what. How the file is fetched is given from
outside, so that it passes the same guard, deadline and turns as everything else.
https://www.rfc-editor.org/rfc/rfc9309
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from enrich_assets.core.errors import CallError, FinalError, TransientError

if TYPE_CHECKING:
    from protego import Protego

MOST_BYTES = 512_000
"""How much of a file is read: RFC 9309, 2.5 asks for 500 KiB at least."""
MOST_REDIRECTS = 5
"""RFC 9309, 2.3.1.2."""
_AGAIN_AFTER = 10.0
"""Seconds until a file that could not be had is asked for again."""
_LARGE = 50_000
"""Bytes from which on a file is parsed beside the event loop."""
_UNREADABLE = ("bad_encoding", "bad_http", "headers_too_large")
"""Kinds of answers that came and cannot be read."""
_PRODUCT = re.compile(r"[A-Za-z_-]+")
_AGENT_LINE = re.compile(r"user[- ]?agent\s*(?::|\s)\s*(.*)", re.IGNORECASE)
_RULE_LINE = re.compile(r"(?:allow|dis+al+ow|diasllow|disallaw)\s*(?::|\s|$)", re.IGNORECASE)


class Rules:
    """The rules of one robots.txt for one reader, who is named by its product token.

    Of a file's groups those for that token count together, and where there is none those for `*` (RFC 9309, 2.2.1).
    `seconds`: how long it took to fetch the file.
    """

    def __init__(self, body: bytes, token: str, *, seconds: float = 0.0) -> None:
        self.seconds = seconds
        chosen = _group(_text(body), token.lower())
        self._parsed: Protego | None = None
        if chosen:
            from protego import Protego

            self._parsed = Protego.parse("\n".join(["User-agent: *", *chosen]))

    def allows(self, url: str) -> bool:
        """Whether `url` may be read."""
        return self._parsed is None or self._parsed.can_fetch(url, "*")

    @property
    def crawl_delay(self) -> float:
        """Seconds that the site asks for between two requests; 0 where it asks for none."""
        return 0.0 if self._parsed is None else self._parsed.crawl_delay("*") or 0.0


def product_token(user_agent: str) -> str:
    """The name by which robots.txt addresses a user agent: its leading letters, `_` and `-`, in lower case."""
    found = _PRODUCT.match(user_agent)
    return found.group().lower() if found else ""


def _text(body: bytes) -> str:
    for mark in (b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"):  # as Google's parser reads it: also one that was cut
        if body.startswith(mark):
            body = body[len(mark) :]
            break
    return body.decode("utf-8", "replace")


def _group(text: str, token: str) -> list[str]:
    """The rule lines of the groups that count for `token`."""
    # Left to itself protego gives every rule to every agent that is named before it (500 KiB can make 400 million
    # pairs of that), and takes a group for `enrich` for one that means `enrich_assets`.
    rules: dict[str, list[str]] = {}
    addressed: set[str] = set()
    is_naming = False
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        agent = _AGENT_LINE.match(content)
        if agent:
            addressed = addressed if is_naming else set()
            is_naming = True
            name = agent.group(1)
            addressed.add("*" if name.split()[:1] == ["*"] else product_token(name))
            addressed &= {"*", token} - {""}
            for one in addressed:
                rules.setdefault(one, [])
        elif content:
            # Other lines, as Crawl-delay, end no list of names (RFC 9309, 2.2.4).
            is_naming = is_naming and not _RULE_LINE.match(content)
            for one in addressed:
                rules[one].append(content)
    return rules.get(token, rules.get("*", []))


@dataclass(frozen=True)
class Answer:
    """What the request for a robots.txt brought: its first bytes, the status, and the seconds it took."""

    http_status: int
    body: bytes
    seconds: float


class RulesUnknown(TransientError):
    """A site's robots.txt cannot be had now; its kind is that of what was met instead."""


class RobotsFiles:
    """The rules of the sites that were met, each file asked for once a day.

    `fetch` gets the file at a URL, with at most `MOST_REDIRECTS` redirects and the first `MOST_BYTES` of its body, and
    raises CallError.
    """

    def __init__(
        self, fetch: Callable[[str], Awaitable[Answer]], clock: Callable[[], datetime], user_agent: str
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token = product_token(user_agent)
        self._known: dict[str, tuple[date, Rules]] = {}
        self._failed: dict[str, tuple[float, CallError]] = {}
        self._asking: dict[str, asyncio.Task[Rules]] = {}

    async def rules(self, origin: str) -> tuple[Rules, float]:
        """The rules of `origin` (`scheme://host:port`), and how many seconds of fetching them were waited for.

        A file that the site does not have (4xx) or that is behind too many redirects allows everything; one that
        cannot be had now (429, 5xx, time-out, connection) forbids everything for now, as RulesUnknown (RFC 9309,
        2.3.1), of the kind that it met. A refused address or an unknown name is raised as it is.
        """
        known = self._known.get(origin)
        if known is not None and known[0] == self._clock().date():
            return known[1], 0.0
        loop = asyncio.get_running_loop()
        if origin in self._failed:
            moment, error = self._failed[origin]
            if loop.time() < moment + _AGAIN_AFTER:
                raise _copy(error)
        task = self._asking.get(origin)
        if task is None:
            # In a context of its own: the time of the row that happened to come first is not that of the others.
            task = loop.create_task(self._ask(origin), context=contextvars.Context())
            self._asking[origin] = task
        try:
            rules = await asyncio.shield(task)
        except CallError as error:
            raise _copy(error) from None  # several requests may wait for the same file
        return rules, rules.seconds

    async def close(self) -> None:
        """Ends what is still being asked for."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, origin: str) -> Rules:
        day = self._clock().date()
        try:
            rules = await self._fetched(f"{origin}/robots.txt")
            self._known[origin] = (day, rules)
            return rules
        except CallError as error:
            self._failed[origin] = (asyncio.get_running_loop().time(), error)
            raise
        finally:
            del self._asking[origin]

    async def _fetched(self, url: str) -> Rules:
        try:
            answer = await self._fetch(url)
        except TransientError as error:
            raise _unreachable(url, error, error.retry_after) from None
        except FinalError as error:
            if error.kind in _UNREADABLE:
                raise _unreachable(url, error) from None
            if error.kind not in ("too_many_redirects", "bad_url"):
                raise
            answer = Answer(404, b"", 0.0)
        if answer.http_status >= 300:
            return Rules(b"", self._token, seconds=answer.seconds)
        if len(answer.body) < _LARGE:
            return Rules(answer.body, self._token, seconds=answer.seconds)
        return await asyncio.to_thread(Rules, answer.body, self._token, seconds=answer.seconds)


def forbidden(url: str, origin: str) -> FinalError:
    """The error for a page that its site's robots.txt does not let us read."""
    return FinalError(
        f"{origin}/robots.txt does not let this reader read it.",
        where=url[:500],
        fix="Leave the page out, ask the site for leave, or, where you have it, set http.robots: false.",
        kind="robots",
    )


def _unreachable(url: str, error: CallError, retry_after: float | None = None) -> RulesUnknown:
    # A site that is down is no matter of its rules: counted as what it is.
    return RulesUnknown(
        f"its site's rules for readers cannot be had, so nothing of the site is read for now: {error.what}",
        where=url,
        fix="Resume the run later.",
        kind="robots" if error.kind in _UNREADABLE else error.kind,
        retry_after=retry_after,
    )


def _copy(error: CallError) -> CallError:
    # An exception that is raised twice grows a traceback of both.
    return copy.copy(error)
