"""Local documents as entries: HTML, Markdown and plain text that the settings name, and never the link of a page.

Which files a source means belongs to `file` and `folder`.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from enrich_assets.engine.clients import Pages
from enrich_assets.web.markup import one_line
from enrich_assets.web.sources.entry import Entry
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.source import Source

TYPES = {
    ".htm": "text/html",
    ".html": "text/html",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".text": "text/plain",
    ".txt": "text/plain",
    ".xhtml": "application/xhtml+xml",
}
"""What is read, by the end of a file's name."""
LARGEST_BYTES = 10_000_000
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\r\f\x1b"))
_LEAST_TEXT = 0.999
"""Share of bytes that are no such character, of a text in an older encoding."""
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.+?)\s*#*\s*$")
_RULE = re.compile(r"^\s{0,3}(?:[-=*_]\s?){3,}\s*$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)]|>)\s+")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s+\"[^\"()]*\")?\)")
_EMPHASIS = re.compile(r"(\*\*|__|\*|`)(?=\S)(.{1,500}?)(?<=\S)\1")


def root_of(source: Source) -> Path:
    """The path of a source, `~` and `file:` understood, absolute with its symbolic links followed.

    Raises FinalError of kind `not_local` for a URL of another kind, and `not_found` where nothing is.
    """
    text = source.url.removeprefix("file://") if source.url.startswith("file:///") else source.url
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text) or not text.strip() or "\x00" in text:
        raise source_error(source, "not_local", "is no path of this machine.", "Write a path, or another kind.")
    path = Path(text).expanduser()
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise source_error(source, "not_found", f"cannot be found: {reason}.", "Check the path.") from None


def read_within(source: Source, path: Path, root: Path) -> tuple[bytes, datetime]:
    """Content and time of change of a regular file below `root`.

    Raises FinalError of the kinds `outside` for a symbolic link that leads out of it, `too_large`, and `unreadable`.
    """
    real = path.resolve()
    if real != root and root not in real.parents:
        raise source_error(source, "outside", f"{path.name} leads out of the folder.", "Copy the file into it.")
    try:
        # Neither through a link that came in between, nor waiting for the other end of a pipe.
        handle = os.open(real, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise source_error(source, "unreadable", f"{path.name} is no regular file.", "Name a file.")
            body = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        what = f"{path.name} cannot be read: {error.strerror}."
        raise source_error(source, "unreadable", what, "Check its permissions.") from None
    if len(body) > LARGEST_BYTES:
        raise source_error(
            source, "too_large", f"{path.name} is larger than {LARGEST_BYTES:,} bytes.", "Split it, or leave it out."
        )
    return body, datetime.fromtimestamp(status.st_mtime, UTC)


async def entry_of(source: Source, path: Path, body: bytes, changed_at: datetime, pages: Pages) -> Entry:
    """The file as an entry that needs no request; a Markdown or text file carries its whole text.

    Raises FinalError of kind `not_text` for a file that is something else whatever its name says.
    """
    type = TYPES.get(path.suffix.lower(), "text/plain")
    if not _is_text(body):
        raise source_error(source, "not_text", f"{path.name} is not text, whatever its name says.", "Convert it.")
    page = await pages.keep(path.as_uri(), body, type)
    if type in ("text/html", "application/xhtml+xml"):
        return Entry(url=page.url, updated_at=changed_at, page=page)
    text = body.decode(_encoding(body), "replace")
    title, text = _of_markdown(text) if type == "text/markdown" else _of_text(text)
    return Entry(url=page.url, title=title or path.stem, updated_at=changed_at, full_text=text, page=page)


def _encoding(body: bytes) -> str:
    return "utf-16" if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _is_text(body: bytes) -> bool:
    """Whether hardly any byte is a control character of no text, in UTF-16 with its mark, UTF-8 or one byte each."""
    try:
        return "\x00" not in body.decode(_encoding(body))
    except UnicodeDecodeError:
        return len(body.translate(None, _CONTROLS)) >= len(body) * _LEAST_TEXT


def _of_markdown(text: str) -> tuple[str, str]:
    """First heading and paragraphs; of the marks only the words that they mark stay."""
    lines = text.splitlines()
    if lines and lines[0].strip() == "---" and "---" in (line.strip() for line in lines[1:100]):
        lines = lines[[line.strip() for line in lines].index("---", 1) + 1 :]  # front matter
    title, is_code = "", False
    blocks: list[str] = []
    current: list[str] = []
    for line in [*lines, ""]:
        if _FENCE.match(line):
            is_code = not is_code
            continue
        heading = None if is_code else _HEADING.match(line)
        if heading and not title:
            title = _words(heading.group(1))
        elif heading or not line.strip() or _RULE.match(line) or (_BULLET.match(line) and not is_code):
            blocks.append(_words(" ".join(current)))
            current = [] if heading or not line.strip() or _RULE.match(line) else [_BULLET.sub("", line)]
            blocks += [_words(heading.group(1))] if heading else []
        else:
            current.append(line)
    blocks.append(_words(" ".join(current)))
    return title, "\n".join(filter(None, blocks))


def _words(text: str) -> str:
    return one_line(_EMPHASIS.sub(r"\2", _LINK.sub(r"\1", text)))


def _of_text(text: str) -> tuple[str, str]:
    """First line and paragraphs of a plain text: a short first line of its own is its title."""
    blocks = [one_line(block) for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")) if block.strip()]
    if len(blocks) > 1 and len(blocks[0]) <= 200:
        return blocks[0], "\n".join(blocks[1:])
    return "", "\n".join(blocks)
