"""URLs as names of documents: one canonical spelling for each. Whether a URL may be fetched belongs to `web.guard`."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from enrich_assets.web.spelling import ascii_host, literal_address, spelt_path, spelt_query, written_host

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Parameters that say how a reader came to a page and never which page it is.
_TRACKING_PREFIXES = ("utm_", "hsa_", "mtm_", "pk_", "piwik_", "stm_", "oly_", "vero_", "_hs")
_TRACKING_NAMES = (
    "fbclid gclid gclsrc dclid gbraid wbraid msclkid yclid twclid ttclid li_fat_id igshid igsh mc_cid mc_eid mkt_tok "
    "s_cid cmpid wickedid rb_clickid __twitter_impression ref_src ref_url xtor guccounter guce_referrer "
    "at_medium at_campaign at_custom1 at_custom2 at_custom3 ns_mchannel ns_campaign ns_source "
    "guce_referrer_sig sc_cid trk_contact trk_msg trk_module"
)
_TRACKING = frozenset(_TRACKING_NAMES.split())


def canonicalize(url: str) -> str:
    """The canonical spelling of an http URL; anything else comes back as it is, without surrounding space.

    Host, path and query are spelt as `web.spelling` says (`/%7Ea`, `/~a` and `/b/../~a` are one); scheme in lower case,
    no user information, no default port, no fragment, no tracking parameters. Order of parameters and a trailing slash
    stay.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        host, port = _host(parts), parts.port
    except (ValueError, UnicodeError):
        return text
    if parts.scheme not in _DEFAULT_PORTS or not host:
        return text
    shown_port = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    query = "&".join(item for item in spelt_query(parts.query).split("&") if item and not _is_tracking(item))
    return urlunsplit((parts.scheme, host + shown_port, spelt_path(parts.path), query, ""))


def joined(base: str, link: str) -> str:
    """`link` as an absolute URL, the way a page at `base` means it; '' where the two make none."""
    try:
        return urljoin(base, link.strip())
    except ValueError:
        return ""


def on_same_site(one: str, other: str) -> bool:
    """Whether two URLs are on the same registered domain (`news.site.co.uk` and `www.site.co.uk` are)."""
    first, second = registered_domain(one), registered_domain(other)
    return bool(first) and first == second


def registered_domain(url: str) -> str:
    """The registered domain of a URL by the public suffix list; the host itself where the list knows no suffix."""
    from tld import get_fld

    try:
        host = _host(urlsplit(url.strip()))
    except (ValueError, UnicodeError):
        return ""
    if not host:
        return ""
    known = get_fld(f"http://{host}/", fail_silently=True)
    return str(known) if known else re.sub(r"^www\.", "", host)


def _host(parts: SplitResult) -> str:
    host = ascii_host(written_host(parts.netloc)).rstrip(".")
    address = literal_address(host) if host else None
    if address is None:
        return host
    return f"[{address}]" if address.version == 6 else str(address)


def _is_tracking(item: str) -> bool:
    name = item.partition("=")[0].lower()
    return name in _TRACKING or name.startswith(_TRACKING_PREFIXES)
