"""Where a site sends its readers: by status, by cookie and by pages that send on, as browsers follow them."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from enrich_assets.core.errors import AddressRefused, FinalError
from enrich_assets.web.http import HttpClient
from enrich_assets.web.settings import HttpSettings
from enrich_assets_tests.web.web_server import serving

HOSTS = ("site.example", "www.site.example", "other.example", "a.co.uk", "b.co.uk")


def follow(pages, start="/", **settings):
    """What a GET of `start` gives, and what was asked for on the way.

    `pages`: for each path, or host and path, an answer or a function of the request that makes one.
    """
    asked = []

    async def handler(request):
        asked.append((request.host, request.raw_path, request.headers.get("Cookie", "")))
        found = pages.get(f"{request.host}{request.raw_path}", pages.get(request.raw_path))
        answer = found(request) if callable(found) else found
        if answer is None:
            return web.Response(status=404)
        status, headers, body = answer
        return web.Response(status=status, headers=headers, body=body)

    async def run():
        async with (
            serving(handler) as port,
            HttpClient(
                HttpSettings(**{"robots": False, "seconds_between_requests": 0, **settings}),
                routes=dict.fromkeys(HOSTS, ("127.0.0.1", port)),
            ) as client,
        ):
            return await client.get(start if start.startswith("http") else f"http://site.example{start}")

    return asyncio.run(run()), asked


def moved(location, *cookies):
    headers = [("Location", location), *(("Set-Cookie", cookie) for cookie in cookies)]
    return 302, headers, b""


def page(text="there", **headers):
    return 200, {"Content-Type": "text/html", **headers}, text.encode()


def refreshing(content, body="", type="text/html"):
    return page(f'<html><head><meta http-equiv="Refresh" content="{content}"></head><body>{body}</body></html>')


THERE = page()


@pytest.mark.parametrize("path", ["/news/%d0%ba%d1%80", "/a%2fb", "/%7Etom/100%", "/s?sig=a%2bb%3d%3D|c", "/a?x=[1]"])
def test_a_url_is_sent_as_a_redirect_wrote_it(path):
    got, asked = follow({"/": moved(path), path: THERE})
    assert got.body == b"there" and asked[1][1] == path and got.final_url == f"http://site.example{path}"


def test_a_site_that_insists_on_lower_case_is_no_loop():
    def lower(request):
        return moved(request.raw_path.lower()) if request.raw_path != request.raw_path.lower() else THERE

    got, asked = follow({"/%D0%BA": lower, "/%d0%ba": lower}, "/%D0%BA")
    assert got.body == b"there" and len(asked) == 2


@pytest.mark.parametrize(
    ("location", "asked_for"),
    [(b"/gr\xc3\xb6\xc3\x9fe eins", b"/gr%C3%B6%C3%9Fe%20eins"), (b"/gr\xf6\xdfe", b"/gr%F6%DFe")],
)
def test_bytes_in_a_location_are_sent_as_they_are(location, asked_for):
    paths = []

    async def answer(reader, writer):
        paths.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
        is_first = len(paths) == 1
        head = b"HTTP/1.1 302 Found\r\nLocation: " + location if is_first else b"HTTP/1.1 200 OK"
        writer.write(head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def run():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        routes = {"site.example": ("127.0.0.1", server.sockets[0].getsockname()[1])}
        settings = HttpSettings(robots=False, seconds_between_requests=0)
        async with server, HttpClient(settings, routes=routes) as client:
            await client.get("http://site.example/")

    asyncio.run(run())
    assert paths == [b"/", asked_for]


def test_a_cookie_opens_the_same_address_and_is_forgotten_after_the_chain():
    def wall(request):
        return THERE if request.headers.get("Cookie") == "seen=1" else moved("/wall", "seen=1; Path=/; HttpOnly")

    for _ in range(2):
        got, asked = follow({"/wall": wall}, "/wall")
        assert got.body == b"there" and [cookie for _, _, cookie in asked] == ["", "seen=1"]
        assert "set-cookie" not in got.headers


def test_cookies_keep_to_their_own_site_and_path():
    pages = {
        "/": moved("http://www.site.example/1", "a=1", "b=2; Domain=site.example; Path=/", "c=3; Path=/deep"),
        "/1": moved("http://other.example/2"),
        "/2": moved("http://site.example/deep/3"),
        "/deep/3": THERE,
    }
    _, asked = follow(pages)
    assert [sorted(cookie.split("; ")) for _, _, cookie in asked] == [[""], ["b=2"], [""], ["a=1", "b=2", "c=3"]]


def test_no_cookie_is_set_for_a_whole_public_suffix():
    pages = {"a.co.uk/": moved("http://b.co.uk/x", "a=1; Domain=co.uk; Path=/"), "/x": THERE}
    _, asked = follow(pages, "http://a.co.uk/")
    assert [cookie for _, _, cookie in asked] == ["", ""]


def test_a_cookie_that_changes_nothing_ends_at_the_limit():
    with pytest.raises(FinalError) as caught:
        follow({"/": moved("/", "a=1")})
    assert caught.value.kind == "too_many_redirects"


@pytest.mark.parametrize(
    "content",
    ["0; URL=/target", "0;url=/target", "5, url = '/target'", "3 /target", "0.5;URL=/target", '1; url="/target"x',
     "0; http://site.example/target"],
)  # fmt: skip
def test_a_page_that_sends_on_within_five_seconds_is_followed(content):
    quoted = content.replace('"', "&quot;")
    got, _ = follow({"/": refreshing(quoted), "/target": THERE})
    assert got.body == b"there" and got.redirects == ("http://site.example/",)
    got, _ = follow({"/": page("Moved.", Refresh=content), "/target": THERE})
    assert got.final_url == "http://site.example/target"


@pytest.mark.parametrize(
    "answer",
    [
        refreshing("6; url=/target"),
        refreshing("300"),
        refreshing("0"),
        refreshing("0; url=/"),
        refreshing("0; url=javascript:go()"),
        refreshing("0; url=http://[broken/"),
        page("<noscript><meta http-equiv=refresh content='0; url=/target'></noscript>"),
        page("<!-- <meta http-equiv=refresh content='0; url=/target'> -->"),
        page("<p>write &lt;meta http-equiv=refresh content='0; url=/target'></p>"),
        (200, {"Content-Type": "application/rss+xml"}, b"<rss><meta http-equiv='refresh' content='0; url=/target'/>"),
        page("Later.", Refresh="60; url=/target"),
    ],
)
def test_a_page_that_is_meant_to_be_read_is_kept(answer):
    got, asked = follow({"/": answer})
    assert got.body == answer[2] and len(asked) == 1


def test_the_base_of_a_page_counts_for_where_it_sends_on():
    begin = page("<base href='/deep/'><meta http-equiv=refresh content='0; url=target'>")
    assert follow({"/": begin, "/deep/target": THERE})[0].body == b"there"


def test_pages_that_send_on_count_as_redirects_and_end_where_they_began():
    chain = {f"/{n}": refreshing(f"0; url=/{n + 1}") for n in range(9)}
    with pytest.raises(FinalError) as caught:
        follow(chain, "/0", max_redirects=3)
    assert caught.value.kind == "too_many_redirects"
    got, asked = follow({"/a": refreshing("0; url=/b"), "/b": refreshing("0; url=/a")}, "/a")
    assert got.final_url == "http://site.example/b" and len(asked) == 2


def test_a_page_that_sets_a_cookie_and_reloads_is_read_with_it():
    def wall(request):
        reload = {"Set-Cookie": "ok=1; Path=/", "Refresh": "0; url=/wall", "Content-Type": "text/html"}
        return THERE if request.headers.get("Cookie") else (200, reload, b"One moment")

    assert follow({"/wall": wall}, "/wall")[0].body == b"there"


@pytest.mark.parametrize(
    "answer", [moved("http://127.0.0.1:1/x"), refreshing("0; url=http://127.0.0.1:1/x"), moved("http://localhost:1/x")]
)
def test_a_refused_address_that_a_redirect_chose_is_told_as_that(answer):
    with pytest.raises(AddressRefused) as caught:
        follow({"/": answer})
    assert caught.value.where == "http://site.example/"
    assert "a redirect led to http://" in caught.value.what and "loopback" in caught.value.what
    assert "allow_hosts" not in str(caught.value)


@pytest.mark.parametrize("type", ["text/plain", "application/octet-stream", "application/xml"])
def test_html_under_another_type_sends_on_too(type):
    body = b"<!doctype html><html><head><meta http-equiv='refresh' content='0; url=/target'></head></html>"
    assert follow({"/": (200, {"Content-Type": type}, body), "/target": THERE})[0].body == b"there"
