"""Markup as lines of text: trees of HTML, and what stands in them. What a page means belongs to `web.extract`."""

from __future__ import annotations

import re
from typing import Any

_SPACE = re.compile(r"\s+")
_BLOCK_NAMES = (
    "address article aside blockquote br dd div dl dt figure footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre "
    "section table td th tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HIDDEN = frozenset(["script", "style", "noscript", "template", "head", "iframe"])


def html_tree(text: str) -> Any:
    """An HTML document as an lxml tree, or None when there is no element in it. Raises MemoryError."""
    import lxml.etree
    import lxml.html

    try:
        # Bytes with a stated encoding: lxml refuses text that carries an XML declaration.
        parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=False, remove_comments=True, remove_pis=True)
        return lxml.html.document_fromstring(text.replace("\x00", "").encode("utf-8", "replace"), parser=parser)
    except lxml.etree.XMLSyntaxError as error:
        if error.code == lxml.etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from None
        return None
    except (lxml.etree.ParserError, AssertionError):
        return None


def text_of_html(fragment: str) -> str:
    """The text of an HTML fragment, one block a line, without scripts and styles."""
    if "<" not in fragment and "&" not in fragment:
        return _lines([fragment])
    tree = html_tree(f"<div>{fragment}</div>")
    return "" if tree is None else text_of(tree)


def text_of(element: Any) -> str:
    """The text in an element, one block a line, without scripts and styles and without what follows the element."""
    from lxml.etree import iterwalk

    pieces: list[str] = []
    skipped = 0
    for event, inner in iterwalk(element, events=("start", "end")):
        tag = inner.tag if isinstance(inner.tag, str) else ""
        line = "\n" if tag in _BLOCKS else ""
        if event == "start":
            skipped += tag in _HIDDEN
            said = inner.text
        else:
            skipped -= tag in _HIDDEN
            said = inner.tail if inner is not element else ""
        if not skipped:
            pieces.append(line + _SPACE.sub(" ", said or ""))
    return _lines("".join(pieces).split("\n"))


def one_line(text: str) -> str:
    """`text` with every run of white space as one space."""
    return _SPACE.sub(" ", text).strip()


def _lines(lines: list[str]) -> str:
    return "\n".join(filter(None, map(one_line, lines)))
