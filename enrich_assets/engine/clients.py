"""What phases may call: the protocols of the model, page and search clients, and the records they exchange.

The clients themselves stand on higher floors (web, models, evidence); each of them sends through `engine.calls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt: `system` (instructions) and `user` (the row, fenced as data)."""

    system: str
    user: str

    def again(self, note: str) -> Prompt:
        """This prompt with what was wrong with the answer before."""
        return Prompt(
            self.system,
            f"{self.user}\n\nYour last answer could not be used: {note}\nAnswer again, and mend that.",
        )


@dataclass(frozen=True)
class Page:
    """A fetched document. `body` is raw and decompressed; `sha256` is its key in the page store."""

    url: str
    final_url: str
    http_status: int
    content_type: str
    charset: str
    body: bytes = field(repr=False)
    sha256: str
    fetched_at: datetime
    fetch_method: str
    """How it came now: `http` over the wire, `not_modified` where the server called the stored one unchanged, `browser`
    rendered, `file` read from a local file; `stored` when the page store replayed it."""


@dataclass(frozen=True)
class Extracted:
    """The content of a page. Empty strings and None where the page does not say it; times are UTC."""

    title: str
    author: str
    published_at: datetime | None
    language: str
    """ISO 639-1."""
    text: str
    """Paragraphs, one a line."""
    canonical_url: str
    method: str = ""
    """What the text comes from: `trafilatura`, `selectors`, `json-ld` …; empty where there is no text."""


class PageSelectors(Protocol):
    """CSS selectors of what stands on a source's pages; empty where the general rules do (`web.selectors`)."""

    @property
    def title(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def published(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Hit:
    """One search result: where to read, best first."""

    url: str
    title: str
    snippet: str
    score: float


@dataclass(frozen=True)
class Weight:
    """The most that a request can take: tokens in and out, and USD, None where the price is unknown."""

    tokens: int
    usd: float | None


@dataclass(frozen=True)
class EndpointLimits:
    """What one endpoint allows all processes together. `key` names it: equal for whoever sends to the same one."""

    key: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


class ModelTransport(Protocol):
    """Sends one request to one model. It knows names, endpoints, keys and prices; it neither caches nor retries."""

    def weigh(self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Weight:
        """The most that the request can take; raises FinalError when it is longer than the model's context window."""
        ...

    def limits(self, model: str) -> EndpointLimits:
        """What the model's endpoint allows."""
        ...

    async def is_ready(self, model: str) -> bool:
        """Whether the endpoint says, before anything is paid, that it takes the key and has the model.

        False where it does not say; raises EndpointError where it refuses the key.
        """
        ...

    def parameters(self, model: str) -> Mapping[str, Any]:
        """Everything besides the messages and the schema that is sent and can change the answer."""
        ...

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        """The raw text of the answer with tokens and cost; raises CallError."""
        ...


@dataclass(frozen=True)
class ModelReply:
    """Raw answer of a model. `cost` in USD, None where the price is unknown or the tokens were not told; `seconds` on
    the wire."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    seconds: float = 0.0
    has_thought: bool = False
    """Whether the model thought before it answered: its thoughts are paid like the answer."""
    adapted: Mapping[str, str] = field(default_factory=dict)
    """What was sent in another form than intended, because the endpoint refused that: parameter and form."""


class Llm(Protocol):
    """Asks a model inside a row phase: cached by the request, validated, asked again when malformed."""

    async def ask(self, prompt: Prompt, answer: type[A], *, model: str) -> A:
        """The validated answer; raises CallError when it cannot be had."""
        ...


class Pages(Protocol):
    """Reads documents through the one http client and the page store."""

    async def get(self, url: str, *, rendered: bool = False) -> Page:
        """The document, or what a browser makes of it; raises CallError (AddressRefused, FinalError for 4xx and for
        what was forgotten, TransientError)."""
        ...

    async def keep(self, url: str, body: bytes, content_type: str) -> Page:
        """A document that was read from a local file, kept like one that was fetched; raises FinalError."""
        ...

    def refuse_forgotten(self, url: str) -> None:
        """Raises FinalError of kind `forgotten` for a URL of which nothing may be kept."""
        ...


class Texts(Protocol):
    """Says what pages hold."""

    async def of(self, page: Page, *, selectors: PageSelectors | None = None) -> Extracted:
        """Text and metadata of an HTML page; raises FinalError of kind `not_html`, or of kind `extraction`."""
        ...


class Search(Protocol):
    """Finds pages."""

    async def find(self, query: str, *, limit: int = 5) -> Sequence[Hit]:
        """Up to `limit` hits, best first; raises CallError."""
        ...


class UrlChooser(Protocol):
    """Says which hits of a search are worth reading. Pure: equal hits give equal choices."""

    def __call__(self, hits: Sequence[Hit], about: str, *, limit: int) -> Sequence[str]:
        """URLs of the hits to read about the subject `about`, best first; what goes beyond `limit` is not read."""
        ...


@dataclass(frozen=True)
class Clients:
    """What a row phase gets as `clients`."""

    llm: Llm
    pages: Pages
    texts: Texts
    search: Search
    chooser: UrlChooser | None = None
    """None: as the evidence loop chooses by itself."""
