"""The address guard: which URLs and which network addresses a request may reach.

Belongs here: the judgement of URLs, literal addresses and resolved addresses, and the resolver that hands exactly the
judged addresses to the connection. Sending requests belongs to `web.http`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from enrich_assets.core.errors import AddressRefused, FinalError, SettingsError, TransientError
from enrich_assets.web.spelling import (
    Address,
    ascii_host,
    literal_address,
    sent_path,
    sent_query,
    spelt_path,
    spelt_query,
    written_host,
)

DEFAULT_PORTS = {"http": 80, "https": 443}
# Up to the last @ before the path, as browsers read it (WHATWG URL, 4.4), with slashes of both kinds.
_USER = re.compile(r"^(\s*[a-z][a-z0-9+.-]*:[/\\]*)[^/\\?#]*@", re.IGNORECASE)

_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
# Beside controls and space; `%` too: nobody needs it, and readers of URLs differ about it (WHATWG URL, 3.5).
_NO_HOST_CHARACTERS = frozenset('"#%/:<>?@[\\]^`{|}')
# No address, no name, and an answer that says that there will be none; EAI_NODATA is not everywhere.
_NO_SUCH_NAME = {socket.EAI_NONAME, socket.EAI_FAIL, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def address_class(address: Address) -> str | None:
    """Why `address` is not a public one (`loopback`, `private` …), or None when it is global unicast.

    Forms that carry an IPv4 address (mapped RFC 4291, NAT64 RFC 6052, 6to4 RFC 3056, Teredo RFC 4380) are judged by
    that one too.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address_class(address.ipv4_mapped)
        for inner in _carried(address):
            inner_class = address_class(inner)
            if inner_class is not None:
                return inner_class
        if address in _NAT64_LOCAL or address.is_site_local:
            return "private"
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.is_global and not (address.is_reserved and address not in _NAT64):
        return None
    return "private" if address.is_private else "reserved"


def _carried(address: ipaddress.IPv6Address) -> Iterable[ipaddress.IPv4Address]:
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


class AddressGuard:
    """Judges URLs and addresses.

    `allow_hosts` are exact `host:port` exceptions (without a port: 80 and 443). `routes` send a host name to an
    address of the program's own choosing and need no other permission.
    """

    def __init__(self, allow_hosts: Iterable[str] = (), routes: Mapping[str, tuple[str, int]] | None = None) -> None:
        self.routes = {ascii_host(host): target for host, target in (routes or {}).items()}
        self._allowed = {entry for text in allow_hosts for entry in _allow_entries(text)}

    def allows(self, host: str, port: int) -> bool:
        """Whether `host:port` is an explicit exception, whatever its addresses are."""
        return host in self.routes or (host, port) in self._allowed

    def checked(self, url: str) -> httpx.URL:
        """`url` as it is sent and recorded: host in its one spelling, path and query as written, no fragment.

        Raises FinalError of kind `bad_url`, or AddressRefused for another scheme than http and https, for user
        information, and for a literal address that is not global. Names are judged by the resolver.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
            if parts.scheme not in DEFAULT_PORTS:
                raise refused(url, f"the scheme {parts.scheme or '(none)'!r} is not http or https")
            if parts.username is not None or parts.password is not None:
                raise refused(without_user(url), "it carries a user name or a password")
            if not parts.hostname:
                raise ValueError("it has no host")
            host = ascii_host(written_host(parts.netloc))
            address = literal_address(host)
            if "\\" in parts.netloc or (address is None and not _is_name(host)):
                raise ValueError("it has no usable host")
            host = str(address) if address is not None else host
            netloc = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
            url.encode("utf-8")  # half a surrogate pair is nothing that anybody meant
            sent = httpx.URL(urlunsplit((parts.scheme, netloc, sent_path(parts.path), sent_query(parts.query), "")))
            wire = on_the_wire(sent)
            # The connection reads the URL with yarl: what it connects to and asks for must be what is judged here.
            if (wire.raw_host or "") != sent.raw_host.decode("ascii") or str(wire) != str(sent):
                raise ValueError("it can be read in two ways")
        except (ValueError, UnicodeError, httpx.InvalidURL) as error:
            raise FinalError(
                f"not a usable URL: {error}.", where=url[:500], fix="Correct the URL.", kind="bad_url"
            ) from None
        if address is not None:
            self.check(host, port or DEFAULT_PORTS[parts.scheme], [address], url=url)
        return sent

    def check(self, host: str, port: int, addresses: Iterable[Address], *, url: str = "") -> None:
        """Raises AddressRefused unless every address is global, or `host:port` is an exception."""
        if self.allows(host, port):
            return
        for address in addresses:
            found = address_class(address)
            if found is not None:
                raise refused(
                    url or f"{host}:{port}",
                    f"{host} is at {address}, a {found} address",
                    fix=f"If it is meant to be read, begin a new run with http.allow_hosts: [{_shown(host, port)!r}].",
                )


def as_judged(url: httpx.URL) -> str:
    """A checked URL in the spelling that rules for paths are asked with: `/%70rivate` is `/private`."""
    parts = urlsplit(str(url))
    return urlunsplit((parts.scheme, parts.netloc, spelt_path(parts.path), spelt_query(parts.query), ""))


def on_the_wire(url: httpx.URL) -> yarl.URL:
    """A checked URL for the connection, which is to send it as it stands."""
    return yarl.URL(str(url), encoded=True)


def without_user(url: str) -> str:
    """`url` as it may be shown: a user name and a password in it are left out."""
    return _USER.sub(r"\1…@", url)


def refused(url: str, why: str, *, fix: str = "Use a public http or https address.") -> AddressRefused:
    """The error for a URL that the guard does not let out."""
    return AddressRefused(f"refused by the address guard: {why}.", where=url[:500], fix=fix)


class GuardedResolver(AbstractResolver):
    """Resolves a name once, judges every address of it, and gives exactly these addresses to the connection."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The judged addresses of `host`; raises AddressRefused, and of kind `dns` FinalError or TransientError.

        Final is a name that does not exist; what may pass, such as a name server that is silent, is transient.
        """
        name = ascii_host(host)
        if name in self._guard.routes:
            address, routed_port = self._guard.routes[name]
            routed_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return [_result(host, address, routed_port, routed_family)]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            what = f"the host name cannot be resolved ({error})."
            is_final = isinstance(error, UnicodeError) or error.errno in _NO_SUCH_NAME
            raise (FinalError if is_final else TransientError)(
                what, where=host, fix="Check the name and the network.", kind="dns"
            ) from None
        addresses = [(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]), entry[0]) for entry in found]
        self._guard.check(name, port, [address for address, _ in addresses])
        return [_result(host, str(address), port, kind) for address, kind in addresses]

    async def close(self) -> None:
        """Nothing is held open."""


def _result(host: str, address: str, port: int, family: int) -> ResolveResult:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _is_name(host: str) -> bool:
    return all(host.split(".")) and not any(c <= " " or c == "\x7f" or c in _NO_HOST_CHARACTERS for c in host)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allow_entries(text: str) -> list[tuple[str, int]]:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host = ascii_host(written_host(parts.netloc))
        if not host or parts.path or parts.username is not None:
            raise ValueError("not a host with a port")
        address = literal_address(host)
        ports = [parts.port] if parts.port is not None else sorted(DEFAULT_PORTS.values())
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is no exception to the address guard ({error}).",
            where="http.allow_hosts",
            fix="Write host:port, like 'search.internal:8080' or '[::1]:8080'.",
        ) from None
    return [(host if address is None else str(address), port) for port in ports]
