"""The address guard: what leaves and what does not."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket

import pytest

from enrich_assets.core.errors import AddressRefused, FinalError, SettingsError, TransientError
from enrich_assets.web.guard import (
    AddressGuard,
    GuardedResolver,
    address_class,
    as_judged,
    on_the_wire,
    without_user,
)
from enrich_assets.web.spelling import literal_address
from enrich_assets.web.urls import canonicalize
from enrich_assets_tests.shared_data import shared_data


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "reserved"),
        ("0.0.0.0", "unspecified"),
        ("224.0.1.1", "multicast"),
        ("255.255.255.255", "private"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fc00::1", "private"),
        ("fec0::1", "private"),
        ("ff0e::1", "multicast"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:0a00:0001::1", "private"),
        ("2001:0:7f00:1::1", "loopback"),
        ("93.184.215.14", None),
        ("2606:4700::6810:84e5", None),
        ("::ffff:93.184.215.14", None),
        ("64:ff9b::5db8:d70e", None),
    ],
)
def test_an_address_is_named_by_its_class(address, expected):
    assert address_class(ipaddress.ip_address(address)) == expected


def test_every_spelling_of_an_ipv4_address_is_read_as_that_address():
    spellings = json.loads(shared_data("urls", "urlcanon", "testdata", "funky_ipv4.json").read_text("utf-8"))
    for spelling, expected in spellings.items():
        host = spelling[:-1] if spelling.endswith(".") else spelling
        try:
            found = literal_address(host)
        except ValueError:
            found = None
        assert (str(found) if found else None) == expected, spelling


def test_every_private_spelling_is_refused_without_a_resolver():
    spellings = json.loads(shared_data("urls", "urlcanon", "testdata", "funky_ipv4.json").read_text("utf-8"))
    guard = AddressGuard()
    refused = 0
    for spelling, address in spellings.items():
        if address is not None and address_class(ipaddress.ip_address(address)) is not None:
            with pytest.raises(AddressRefused):
                guard.checked(f"http://{spelling}/")
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1.", "[::1]",
     "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "0X7F.1"],
)  # fmt: skip
def test_loopback_is_refused_however_it_is_spelt(host):
    with pytest.raises(AddressRefused) as caught:
        AddressGuard().checked(f"http://{host}/page")
    assert caught.value.kind == "address_refused"
    assert "loopback" in str(caught.value)
    assert host in str(caught.value)
    assert "begin a new run with http.allow_hosts: ['" in caught.value.fix


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/", "gopher://a.example/", "data:text/plain,x"])
def test_only_http_and_https_leave(url):
    with pytest.raises(AddressRefused, match="not http or https"):
        AddressGuard().checked(url)


@pytest.mark.parametrize("url", ["http://user:word@a.example/", "http://user@a.example/", "http://@127.0.0.1/"])
def test_user_information_is_refused_and_not_repeated(url):
    with pytest.raises(AddressRefused) as caught:
        AddressGuard().checked(url)
    assert "word" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///path", "http://[::1", "http://a.example:99999/", "http://1.2.3.4.5/", "http://a%2eb.example/",
     "http://a.example\\@127.0.0.1/", "http://127.0.0.1%2f@a.example/", "http://[2606:4700::1%25eth0]/", "http://256.1.1.1/"],
)  # fmt: skip
def test_a_url_that_cannot_be_read_or_can_be_read_in_two_ways_does_not_leave(url):
    with pytest.raises(FinalError) as caught:
        AddressGuard().checked(url)
    assert caught.value.kind in ("bad_url", "address_refused")


def test_no_url_leaves_that_browsers_cannot_read():
    cases = json.loads(shared_data("urls", "ada", "tests", "wpt", "urltestdata.json").read_text("utf-8"))
    left = 0
    for case in cases:
        try:
            sent = AddressGuard().checked(case["input"] if isinstance(case, dict) else "")
        except FinalError:
            continue
        assert not case.get("failure"), case["input"]
        assert sent.raw_host.decode() == case["hostname"].rstrip("."), case["input"]
        left += 1
    assert left > 80


def test_what_leaves_has_a_normal_host_and_no_fragment():
    guard = AddressGuard()
    assert str(guard.checked("HTTP://News.Example.:80/a?b=c#d")) == "http://news.example/a?b=c"
    assert str(guard.checked("http://134744072/")) == "http://8.8.8.8/"
    assert str(guard.checked("https://b\u00fccher.example/")) == "https://xn--bcher-kva.example/"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://a.example/a/%2e%2e/private/x", "http://a.example/private/x"),
        ("http://a.example/a\\..\\private", "http://a.example/private"),
        ("http://a.example/a/.%2E/./b/..", "http://a.example/"),
        ("http://a.example/%61%7e?q=%7Etom&z=\u00e4", "http://a.example/%61%7e?q=%7Etom&z=%C3%A4"),
        ("http://a.example/%d0%ba%2f'?a[]='", "http://a.example/%d0%ba%2f'?a[]=%27"),
        ("http://a.example/100%?q=50%|", "http://a.example/100%?q=50%|"),
        ("http://a.example/s?X-Sig=a%2bb%3d%3D&t=a b", "http://a.example/s?X-Sig=a%2bb%3d%3D&t=a%20b"),
        ("http://fa\u00df.example/", "http://xn--fa-hia.example/"),
        ("http://\u039b\u039f\u0393\u039f\u03a3.example/", "http://xn--oxapmbu.example/"),
        ("http://xn--fa-hia.EXAMPLE/", "http://xn--fa-hia.example/"),
    ],
)
def test_what_leaves_is_sent_as_it_is_written_and_judged_and_named_in_one_spelling(written, sent):
    checked = AddressGuard().checked(written)
    assert str(checked) == str(on_the_wire(checked)) == sent
    assert as_judged(checked) == canonicalize(written) == canonicalize(sent)


def test_a_url_is_named_as_browsers_read_it():
    cases = json.loads(shared_data("urls", "ada", "tests", "wpt", "urltestdata.json").read_text("utf-8"))
    agreed = 0
    for case in cases:
        try:
            AddressGuard().checked(case["input"] if isinstance(case, dict) else "")
        except FinalError:
            continue
        # What browsers leave in two spellings (`%7a`, `z`), RFC 3986 calls one: both sides are spelt out.
        assert canonicalize(case["input"]) == canonicalize(case["href"]), case["input"]
        agreed += 1
    assert agreed > 80


def test_an_exception_is_exact():
    guard = AddressGuard(["127.0.0.1:8080", "[::1]:81", "localhost"])
    guard.checked("http://127.0.0.1:8080/")
    guard.checked("http://0x7f.1:8080/")
    guard.checked("http://[::1]:81/")
    assert guard.allows("localhost", 80) and guard.allows("localhost", 443) and not guard.allows("localhost", 8080)
    for url in ("http://127.0.0.1/", "http://127.0.0.1:8081/", "http://127.0.0.2:8080/", "http://[::1]/"):
        with pytest.raises(AddressRefused):
            guard.checked(url)


@pytest.mark.parametrize("entry", ["", "http://a.example", "a.example/path", "a.example:x", "user@a.example:80"])
def test_a_malformed_exception_is_a_settings_error(entry):
    with pytest.raises(SettingsError, match=r"allow_hosts"):
        AddressGuard([entry])


def _resolve(guard, host, port, answers, failure=socket.EAI_NONAME):
    """The resolver's result where a look-up gives `answers`, and how often it was asked."""
    asked = []

    async def lookup(name, *_args, **_kwargs):
        asked.append(name)
        if not answers:
            raise socket.gaierror(failure, "it cannot be resolved")
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, 1, 6, "", (a, port)) for a in answers]

    async def run():
        asyncio.get_running_loop().getaddrinfo = lookup
        return await GuardedResolver(guard).resolve(host, port)

    return asyncio.run(run()), asked


def test_a_name_is_looked_up_once_and_gives_exactly_the_judged_addresses():
    found, asked = _resolve(AddressGuard(), "a.example", 80, ["93.184.215.14", "2606:4700::6810:84e5"])
    assert [result["host"] for result in found] == ["93.184.215.14", "2606:4700::6810:84e5"]
    assert asked == ["a.example"]


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(AddressRefused, match=r"192\.168\.1\.1, a private address"):
        _resolve(AddressGuard(), "a.example", 80, ["93.184.215.14", "192.168.1.1"])


def test_an_allowed_name_may_be_private_on_its_port_only():
    guard = AddressGuard(["search.internal:8080"])
    assert _resolve(guard, "search.internal", 8080, ["10.0.0.5"])[0][0]["host"] == "10.0.0.5"
    with pytest.raises(AddressRefused):
        _resolve(guard, "search.internal", 80, ["10.0.0.5"])


def test_a_route_needs_no_look_up():
    found, asked = _resolve(AddressGuard(routes={"Pretty.Example": ("127.0.0.1", 4711)}), "pretty.example", 80, [])
    assert (found[0]["host"], found[0]["port"], asked) == ("127.0.0.1", 4711, [])


@pytest.mark.parametrize(
    "failure, error", [(socket.EAI_NONAME, FinalError), (socket.EAI_AGAIN, TransientError)], ids=["unknown", "silent"]
)
def test_a_silent_name_server_is_worth_another_try_and_a_name_that_does_not_exist_is_not(failure, error):
    with pytest.raises(error) as caught:
        _resolve(AddressGuard(), "nowhere.example", 80, [], failure)
    assert caught.value.kind == "dns"


@pytest.mark.parametrize(
    "url",
    [
        "http://reader:pass@host.example/a",
        "https://pass@host.example",
        " http://a@b:pass@host.example?q",
        "http:pass@h",
    ],
)
def test_a_user_and_a_password_are_never_shown(url: str) -> None:
    assert "pass" not in without_user(url) and "…@" in without_user(url)
    assert without_user("http://host.example/a@b") == "http://host.example/a@b"
