"""What people wanted forgotten: patterns of domains and URLs, and the file `forgotten.json` that remembers them.

Belongs here: which URLs a pattern means, and that their documents are refused. What has to be removed for one, and
where, belongs to `defs.forgetting`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from urllib.parse import urlsplit

from upath import UPath

from enrich_assets.core.errors import ArtifactMissing, FinalError, StorageError, UserError
from enrich_assets.core.files import read_bytes, write_atomic
from enrich_assets.web.urls import canonicalize

FORGOTTEN = "forgotten"
"""Kind of the error, and reason of the dropped rows, that a forgotten URL means."""
_FILE = "forgotten.json"
_FORMAT = 1
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class Pattern:
    """A domain with all of its subdomains, or one URL in its canonical spelling, whether http or https."""

    text: str

    @property
    def is_url(self) -> bool:
        """Whether it means one document alone."""
        return "://" in self.text or self.text.startswith("file:")

    def matches(self, url: str) -> bool:
        """Whether it means that URL."""
        if self.is_url:
            return _without_scheme(url) == _without_scheme(self.text)
        host = host_of(url)
        return host == self.text or host.endswith(f".{self.text}")


def pattern_of(text: str) -> Pattern:
    """The pattern that somebody wrote; raises UserError for what is neither a domain nor a URL, and for a suffix under
    which everybody has domains."""
    given = text.strip()
    if "://" in given or given.startswith("file:"):
        url = canonicalize(given)
        if host_of(url) or url.startswith("file:"):
            return Pattern(url)
    else:
        host = host_of(f"http://{given.removeprefix('*.').removeprefix('.')}/")
        # The address that a domain makes has no other parts: `example.com/page` would mean the whole domain.
        if host and _HOST.fullmatch(host) and not re.search(r"[\s/?#@\\]|:\d+$", given):
            if _is_public_suffix(host):
                raise UserError(
                    f"{host} is no domain of anybody: everybody's domains end with it.",
                    fix=f"Name one, like example.{host}.",
                )
            return Pattern(host)
    raise UserError(
        f"{ascii(given)[:120]} is neither a domain nor a URL.",
        fix="Write example.com, which covers its subdomains, or one URL: https://example.com/page.",
    )


def host_of(url: str) -> str:
    """The host of a URL in its canonical spelling; '' where there is none."""
    try:
        parts = urlsplit(canonicalize(url))
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Forgetting:
    """One entry of `forgotten.json`: what was forgotten, when, and how much of it there was."""

    pattern: str
    begun_at: str
    """UTC, ISO 8601."""
    finished_at: str | None = None
    """None while it is going on, or after it was killed: the same command finishes it."""
    lifted_at: str | None = None
    """Since when it may be fetched again."""
    removed: dict[str, int] = field(default_factory=dict)
    """How many of what."""


class Forgotten:
    """The patterns that hold: documents of these URLs are neither fetched nor replayed."""

    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        self._urls: set[str] = set()
        self._domains: set[str] = set()
        for pattern in patterns:
            if pattern.is_url:
                self._urls.add(_without_scheme(pattern.text))
            else:
                self._domains.add(pattern.text)

    def __bool__(self) -> bool:
        return bool(self._urls or self._domains)

    def covers(self, url: str) -> bool:
        """Whether one of them means that URL."""
        if not self:
            return False
        if _without_scheme(url) in self._urls:
            return True
        labels = host_of(url).split(".")
        return any(".".join(labels[start:]) in self._domains for start in range(len(labels)))

    def refuse(self, *urls: str) -> None:
        """Raises FinalError of kind `forgotten` where one of the URLs is meant."""
        for url in urls:
            if self.covers(url):
                raise FinalError(
                    "it was forgotten, and is not read again.",
                    where=url[:500],
                    fix="enrich forget --list shows what was; --lift lets it be read again.",
                    kind=FORGOTTEN,
                )


class ForgottenFile:
    """`forgotten.json` below a storage's root."""

    def __init__(self, root: UPath) -> None:
        self._path = root / _FILE

    def entries(self) -> list[Forgetting]:
        """All entries, oldest first; raises StorageError where the file is damaged, so that nothing comes back."""
        try:
            whole = json.loads(read_bytes(self._path))
            return [Forgetting(**entry) for entry in whole["forgotten"]]
        except ArtifactMissing:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                "the list of what was forgotten cannot be read.",
                where=str(self._path),
                fix="Bring it back from a copy; while it is damaged no page is read.",
            ) from error

    def holding(self) -> Forgotten:
        """The patterns that hold now; raises StorageError."""
        return Forgotten(Pattern(entry.pattern) for entry in self.entries() if entry.lifted_at is None)

    def entry(self, pattern: Pattern) -> Forgetting | None:
        """The entry of a pattern that holds."""
        return next((e for e in self.entries() if e.pattern == pattern.text and e.lifted_at is None), None)

    def begin(self, pattern: Pattern, moment: str) -> Forgetting:
        """Lets a pattern hold from now on; one that holds already stays as it is."""
        known = self.entry(pattern)
        if known is None:
            known = Forgetting(pattern.text, moment)
            self._write([*self.entries(), known])
        return known

    def withdraw(self, pattern: Pattern) -> None:
        """Takes a pattern out again for which nothing was done."""
        self._write([e for e in self.entries() if not (e.pattern == pattern.text and e.lifted_at is None)])

    def note(self, pattern: Pattern, counts: Mapping[str, int]) -> None:
        """Records how much is about to be removed. What an attempt that was killed had recorded counts once."""

        def noted(entry: Forgetting) -> Forgetting:
            together = max if entry.finished_at is None else int.__add__
            names = {**entry.removed, **counts}
            removed = {name: together(entry.removed.get(name, 0), counts.get(name, 0)) for name in names}
            return replace(entry, finished_at=None, removed=removed)

        self._change(pattern, noted)

    def finish(self, pattern: Pattern, moment: str) -> None:
        """Records that all of it is removed."""
        self._change(pattern, lambda entry: replace(entry, finished_at=moment))

    def lift(self, pattern: Pattern, moment: str) -> bool:
        """Lets its pages be read again; False where the pattern does not hold."""
        return self._change(pattern, lambda entry: replace(entry, lifted_at=moment))

    def _change(self, pattern: Pattern, change: Callable[[Forgetting], Forgetting]) -> bool:
        found = self.entries()
        changed = [change(e) if e.pattern == pattern.text and e.lifted_at is None else e for e in found]
        if changed != found:
            self._write(changed)
        return changed != found

    def _write(self, entries: Sequence[Forgetting]) -> None:
        whole = {"format": _FORMAT, "forgotten": [asdict(entry) for entry in entries]}
        write_atomic(self._path, (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace"))


def _without_scheme(url: str) -> str:
    return re.sub(r"^https?:", "", canonicalize(url))


def _is_public_suffix(host: str) -> bool:
    from tld import get_fld

    return bool(get_fld(f"http://a.{host}/", fail_silently=True) == f"a.{host}")
