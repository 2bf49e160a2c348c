"""Content codings, unpacked piece by piece, so that what is packed small is never large here.

Belongs here: gzip and deflate, the codings that are asked for. How much of a body is read belongs to `web.http`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

_AT_ONCE = 1_000_000
"""Most bytes that are unpacked before other requests have their turn."""
_MOST_MEMBERS = 1000
"""Members of a gzip body: each costs time, and may hold nothing."""


_CODINGS = frozenset((
    "aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "x-compress", "x-gzip",
    "zstd",
))  # fmt: skip
"""The HTTP Content Coding Registry (RFC 9110, 16.6.1) without identity, which does nothing."""


def coding_of(header: str) -> str:
    """The codings that a Content-Encoding names, in lower case, with commas between them.

    What names no coding (`none`, `utf-8`) is left out, as browsers do: the body is as it would be without it.
    """
    named = (token.strip().lower() for token in header.split(","))
    return ", ".join(token for token in named if token in _CODINGS)


async def decompressed(pieces: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The pieces of a body, unpacked, each of at most a megabyte; the reader stops when it has enough.

    `coding` is what `coding_of` gives. Only gzip and deflate, one layer, as asked for; raises zlib.error for anything
    else, and for what is cut off or damaged.
    """
    if not coding:
        async for piece in pieces:
            yield piece
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise zlib.error("only gzip and deflate were asked for")
    inflater, begun, members = None, False, 0
    async for piece in pieces:
        while piece:
            if inflater is None:
                # "deflate" means zlib, but some servers send it without the header (RFC 9110, 8.4.1.2).
                is_raw = coding == "deflate" and (piece[0] & 0x0F) != 8
                members += 1
                if members > _MOST_MEMBERS:
                    raise zlib.error(f"it is made of more than {_MOST_MEMBERS:,} parts")
                inflater = zlib.decompressobj(-15 if is_raw else 47)
            try:
                yield inflater.decompress(piece, _AT_ONCE)
            except zlib.error:
                if begun:  # padding after a complete gzip member
                    return
                raise
            piece = inflater.unconsumed_tail
            if inflater.eof:
                piece, inflater, begun = inflater.unused_data, None, True
                if coding == "deflate":
                    return
            if piece:
                await asyncio.sleep(0)
    if inflater is not None:
        yield inflater.flush()
        if not inflater.eof:
            raise zlib.error("it ends too early")
