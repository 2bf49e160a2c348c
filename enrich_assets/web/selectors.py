"""CSS selectors that say where a source's pages hold what the general rules miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from enrich_assets.core.settings import Settings
from enrich_assets.engine.clients import PageSelectors
from enrich_assets.web.markup import one_line, text_of


class Selectors(Settings):
    """Where title, author, date and text stand on the pages of one source.

    What a selector does not find on a page is found as without it.
    """

    title: str = Field(default="", max_length=1000)
    """CSS selector of the headline; the first element that matches counts."""
    author: str = Field(default="", max_length=1000)
    """CSS selector of the authors' names; every element that matches counts."""
    published: str = Field(default="", max_length=1000)
    """CSS selector of the date; its `datetime` or `content` attribute counts before its text."""
    text: str = Field(default="", max_length=1000)
    """CSS selector of the paragraphs, or of what holds them; every element that matches counts, in their order."""

    @field_validator("title", "author", "published", "text")
    @classmethod
    def _can_be_matched(cls, css: str) -> str:
        if css.strip():
            compiled(css)
        return css.strip()

    def __bool__(self) -> bool:
        return bool(self.title or self.author or self.published or self.text)


def compiled(css: str) -> Any:
    """A function that gives the elements of an lxml tree that `css` matches, in the order of the document.

    Raises ValueError that says what is wrong with it.
    """
    from cssselect import SelectorError
    from lxml.cssselect import CSSSelector
    from lxml.etree import Element, XPathError

    try:
        match = CSSSelector(css, translator="html")
        match(Element("html"))  # a namespace that nobody declared shows only here
    except (SelectorError, XPathError) as error:
        raise ValueError(f"not a CSS selector: {error}") from None
    return match


@dataclass(frozen=True)
class Selected:
    """What selectors found on a page; empty where they found nothing."""

    title: str = ""
    author: str = ""
    published: str = ""
    text: str = ""


def selected(tree: Any, selectors: PageSelectors) -> Selected:
    """What the selectors match in an lxml tree: lines of text, the authors' names separated by `; `."""
    titles = _matches(tree, selectors.title)
    dates = _matches(tree, selectors.published)
    names = dict.fromkeys(one_line(text_of(element)) for element in _matches(tree, selectors.author))
    texts = _outermost(_matches(tree, selectors.text))
    return Selected(
        title=next(filter(None, (_said(element, "content") for element in titles)), ""),
        author="; ".join(filter(None, names)),
        published=next(filter(None, (_said(element, "datetime", "content") for element in dates)), ""),
        text="\n".join(filter(None, map(text_of, texts))),
    )


def _matches(tree: Any, css: str) -> list[Any]:
    return list(compiled(css)(tree)) if css else []


def _said(element: Any, *attributes: str) -> str:
    stated = next(filter(None, (element.get(name) for name in attributes)), "")
    return one_line(stated or text_of(element))


def _outermost(elements: list[Any]) -> list[Any]:
    """The elements that stand in none of the others, so that no text is taken twice."""
    inside = set(elements)
    return [one for one in elements if not any(above in inside for above in one.iterancestors())]
