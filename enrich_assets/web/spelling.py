"""How the parts of a URL are spelt: host, path and query (RFC 3986, 6.2.2; UTS 46 with IDNA 2008; WHATWG URL).

Two spellings for two purposes. The identity (`spelt_path`, `spelt_query`) is equal for URLs that mean the same:
`web.urls` makes names of documents of it, and robots.txt is asked with it, so that no rule is passed by writing a URL
in another way. The wire (`sent_path`, `sent_query`) is what a server gets: the URL as a feed or a redirect wrote it,
because servers sign, compare and redirect by the exact spelling.
"""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNRESERVED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
# Brackets stand in URLs as they are written, though no grammar has them there: browsers send them so.
_IN_PATH = frozenset(_UNRESERVED + "!$&'()*+,;=:@/[]")
# `'` is what browsers (WHATWG URL, special-query percent-encode set) and httpx encode in a query.
_IN_QUERY = (_IN_PATH | {"?"}) - {"'"}
_ENCODED_OR_ONE = re.compile(r"%([0-9A-Fa-f]{2})|(.)", re.DOTALL)
# WHATWG URL, 1.3: the path and the special-query percent-encode sets.
_NOT_SENT_IN_PATH = re.compile('[^!-~]|["#<>?^`{}]')
_NOT_SENT_IN_QUERY = re.compile("[^!-~]|[\"#<>']")
_ENCODED_DOT = re.compile("%2e", re.IGNORECASE)


def spelt_path(path: str) -> str:
    """A path whose percent-encoding is needed and in capitals, without dot segments; `/` for an empty one.

    A backslash is a slash, as browsers read it (WHATWG URL, 4.4); RFC 3986 knows none.
    """
    return _without_dots(_spelt(path.replace("\\", "/"), _IN_PATH)) or "/"


def spelt_query(query: str) -> str:
    """A query whose percent-encoding is needed and in capitals; its items stay as they are, and in their order."""
    return _spelt(query, _IN_QUERY)


def sent_path(path: str) -> str:
    """A path as it is sent: as it is written, without dot segments, and encoded only where it must be.

    `%d0`, `%7E` and `%2f` stay; a backslash is a slash, and an encoded dot segment is one, as browsers read them.
    """
    return _without_dots(_NOT_SENT_IN_PATH.sub(_encoded, path.replace("\\", "/"))) or "/"


def sent_query(query: str) -> str:
    """A query as it is sent: as it is written, and encoded only where it must be."""
    return _NOT_SENT_IN_QUERY.sub(_encoded, query)


def _spelt(text: str, as_they_are: frozenset[str]) -> str:
    def one(found: re.Match[str]) -> str:
        code, character = found.groups()
        if code is not None:
            meant = chr(int(code, 16))
            return meant if meant in _UNRESERVED else f"%{code.upper()}"
        return str(character) if character in as_they_are else _encoded(found)

    return _ENCODED_OR_ONE.sub(one, text)


def _encoded(found: re.Match[str]) -> str:
    character = found.group()
    # Half a surrogate pair is nothing that could be sent: what browsers send in its place (WHATWG Encoding).
    whole = "\ufffd" if "\ud800" <= character <= "\udfff" else character
    return "".join(f"%{byte:02X}" for byte in whole.encode("utf-8"))


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4, for a path that begins with a slash."""
    kept: list[str] = []
    parts = path.split("/")[1:]
    for number, part in enumerate(parts, start=1):
        is_last = number == len(parts)
        dots = _ENCODED_DOT.sub(".", part) if len(part) <= 6 else part  # at most `%2e%2e`
        if dots not in (".", ".."):
            kept.append(part)
            continue
        if dots == ".." and kept:
            kept.pop()
        if is_last:
            kept.append("")
    return "".join(f"/{part}" for part in kept)


def written_host(netloc: str) -> str:
    """The host in the authority of a URL, as it is written; without the brackets of an IPv6 address."""
    # SplitResult.hostname is in lower case, and Python's lower case of a final sigma is not the one of host names.
    host = netloc.rpartition("@")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def ascii_host(host: str) -> str:
    """A host name as it is looked up: in lower case, international names in ASCII, without the dot of the root.

    UTS 46 without transitional processing and IDNA 2008, as browsers and the client's connection read names: `faß.de`
    is not `fass.de`. Raises UnicodeError for what is no name by them.
    """
    if not host.isascii():
        import idna

        host = idna.uts46_remap(host, std3_rules=False, transitional=False)
    name = host.lower()
    name = name[:-1] if name.endswith(".") else name
    if name.isascii():
        return name
    import idna

    return idna.encode(name).decode("ascii")


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, in any way that inet_aton(3) reads, or None when it is a name.

    Raises ValueError for a host that ends in a number and is no address: no name may do that (WHATWG URL, 3.5).
    """
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone is of this machine only")
        return ipaddress.IPv6Address(host)
    parts = host.lower().split(".")
    if not _is_number(parts[-1]):
        return None
    if len(parts) > 4 or not all(_is_number(part) for part in parts):
        raise ValueError(f"{host!r} ends in a number and is no IPv4 address")
    numbers = [_number(part) for part in parts]
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise ValueError(f"{host!r} is out of the range of IPv4 addresses")
    value = numbers[-1] + sum(number << (8 * (3 - index)) for index, number in enumerate(numbers[:-1]))
    return ipaddress.IPv4Address(value)


def _is_number(part: str) -> bool:
    if part.isascii() and part.isdigit():
        return True
    return part[:2] == "0x" and all(digit in "0123456789abcdef" for digit in part[2:])


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if len(part) > 1 and part.startswith("0") else int(part)
