"""`enrich sources`: what it says of sources, what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

RSS = """<rss version="2.0"><channel><title>The Daily “Lathe”</title><item><title>A</title><link>/a</link>
<pubDate>Fri, 02 Jan 2026 10:00:00 GMT</pubDate></item></channel></rss>"""
PAGES = {
    "/feed.xml": ("application/rss+xml", RSS),
    "/": ("text/html", '<html><head><link rel="alternate" type="application/rss+xml" href="/feed.xml"></head></html>'),
    "/list": ("text/html", "<html><head><title>All notes</title></head><body><a href='/n/1'>One</a></body></html>"),
    "/map.xml": ("application/xml", "<urlset><url><loc>http://127.0.0.1/x</loc></url></urlset>"),
    "/article": ("text/html", '<html><head><meta property="og:type" content="article"></head><body>x</body></html>'),
    "/robots.txt": ("text/plain", "User-agent: *\nDisallow: /private\n"),
    "/private/feed.xml": ("application/rss+xml", RSS),
    "/photo": ("image/png", "no picture"),
}


@pytest.fixture
def site() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            type, body = PAGES.get(self.path, ("text/plain", ""))
            if self.path == "/moved":
                self.send_response(301)
                self.send_header("location", "/feed.xml")
            else:
                self.send_response(200 if self.path in PAGES else 404)
                self.send_header("content-type", type)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def settings_at(folder: Path, host: str, *sources: str) -> Path:
    path = folder / "mine.yaml"
    http = f'http:\n  allow_hosts: ["{host}"]  # our own\n  seconds_between_requests: 0\n'
    listed = "".join(f"  - {{id: s{n}, name: S, {source}}}\n" for n, source in enumerate(sources))
    path.write_text(f"as_of: 2026-03-01T00:00:00Z\n{http}sources:\n{listed}" if listed else http, "utf-8")
    return path


def test_check_says_how_each_source_does_and_what_to_do(empty_place: Any, call: Any, site: str, tmp_path: Path) -> None:
    path = settings_at(
        tmp_path, site, f"url: 'http://{site}/feed.xml'", f"url: 'http://{site}/'", f"url: 'http://{site}/private/feed.xml'",
        f"url: 'http://{site}/moved'", f"url: 'http://{site}/list', kind: listing, link_pattern: absent",
        f"url: 'http://{site}/map.xml'", f"url: 'http://{site}/', kind: site", f"url: '{tmp_path}', kind: folder",
    )  # fmt: skip
    done = call(empty_place, "sources", "check", "--settings", str(path), "--json")
    assert done.exit_code == 1, done.output
    found = {one["source_id"]: one for one in json.loads(done.stdout)}
    said = {name: (one["status"], one["entries"], one["robots"]) for name, one in found.items()}
    assert said == {
        "s0": ("ok", 1, "allows"), "s1": ("failed", 0, "allows"), "s2": ("failed", 0, "forbids"),
        "s3": ("ok", 1, "allows"), "s4": ("empty", 0, "allows"), "s5": ("failed", 0, "allows"),
        "s6": ("ok", 1, "allows"), "s7": ("empty", 0, "–"),
    }  # fmt: skip
    advice = {name: " ".join(one["advice"]) for name, one in found.items()}
    assert found["s0"]["newest"] == "2026-01-02T10:00:00+00:00" and "no item for 57 days." in advice["s0"]
    assert f"this is a page; its feed is http://{site}/feed.xml" in advice["s1"]
    assert found["s2"]["error_kind"] == "robots" and advice["s2"]
    assert f"it redirects to http://{site}/feed.xml" in advice["s3"]
    assert "no link that the source's rules choose" in advice["s4"]
    assert "it is a sitemap: write kind: sitemap." in advice["s5"]
    assert found["s6"]["taken"] == f"http://{site}/feed.xml" and "which the page names" in advice["s6"]
    assert not (empty_place.storage / "pages").exists()


def test_check_is_readable_at_eighty_columns(empty_place: Any, call: Any, site: str, tmp_path: Path) -> None:
    path = settings_at(tmp_path, site, f"url: 'http://{site}/feed.xml'", f"url: 'http://{site}/'")
    done = call(empty_place, "sources", "check", "--settings", str(path))
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.splitlines()[1].split() == ["s0", "feed", "ok", "1", "57", "days", "ago", "allows"]
    assert "\ns1\n  the document is an HTML page, not a feed.\n  this is a page; its feed is" in done.stdout
    one = call(empty_place, "sources", "check", "--settings", str(path), "s0")
    assert one.exit_code == 0 and "s1" not in one.stdout


def test_the_demo_s_sources_can_be_checked_and_listed_offline(empty_place: Any, call: Any) -> None:
    done = call(empty_place, "sources", "check", "--preset", "demo", "signal_review", "field_notes")
    assert done.exit_code == 0 and "signal_review" in done.stdout and "quiet_mirror" not in done.stdout
    listed = call(empty_place, "sources", "list", "--preset", "demo", "--json")
    assert [one["id"] for one in json.loads(listed.stdout)][:2] == ["harbor_ledger", "signal_review"]
    assert "http://field-notes.example/" in call(empty_place, "sources", "list", "--preset", "demo").stdout


@pytest.mark.parametrize(
    ("path", "kind", "url", "name"),
    [
        ("/feed.xml", "feed", "/feed.xml", "The Daily “Lathe”"),
        ("/", "feed", "/feed.xml", "The Daily “Lathe”"),
        ("/map.xml", "sitemap", "/map.xml", "127.0.0.1"),
        ("/article", "page", "/article", "127.0.0.1"),
    ],
)
def test_add_finds_the_kind_and_writes_it_below_the_others(
    empty_place: Any, call: Any, site: str, tmp_path: Path, path: str, kind: str, url: str, name: str
) -> None:
    file = settings_at(tmp_path, site, "url: 'http://other.example/feed'")
    before = file.read_text("utf-8")
    done = call(empty_place, "sources", "add", f"http://{site}{path}", "--to", str(file), "--id", "mine")
    assert done.exit_code == 0, done.output
    after = file.read_text("utf-8")
    assert after.startswith(before) and f"kind: {kind}" in done.stdout
    added = yaml.safe_load(after)["sources"][1]
    assert added == {"id": "mine", "name": name, "url": f"http://{site}{url}", "kind": kind}
    again = call(empty_place, "sources", "add", f"http://{site}{path}", "--to", str(file))
    assert again.exit_code == 2 and "'mine' reads that address already" in again.stderr
    assert file.read_text("utf-8") == after


def test_add_takes_a_page_of_a_site_for_what_it_is_although_the_site_has_a_feed(
    empty_place: Any, call: Any, site: str, tmp_path: Path
) -> None:
    file = settings_at(tmp_path, site, f"url: 'http://{site}/feed.xml'")
    for path, arguments, kind in (("/list", (), "listing"), ("/", ("--kind", "listing"), "listing")):
        done = call(empty_place, "sources", "add", f"http://{site}{path}", "--to", str(file), *arguments)
        assert done.exit_code == 0, done.output
        added = yaml.safe_load(file.read_text("utf-8"))["sources"][-1]
        assert (added["url"], added["kind"]) == (f"http://{site}{path}", kind)


def test_a_list_with_nothing_below_it_is_an_empty_one(empty_place: Any, call: Any, site: str, tmp_path: Path) -> None:
    file = settings_at(tmp_path, site)
    file.write_text(f"{file.read_text('utf-8')}sources:\n", "utf-8")
    done = call(empty_place, "sources", "add", f"http://{site}/feed.xml", "--to", str(file), "--id", "mine")
    assert done.exit_code == 0, done.output
    assert [one["id"] for one in yaml.safe_load(file.read_text("utf-8"))["sources"]] == ["mine"]


def test_what_cannot_be_written_can_be_pasted(empty_place: Any, call: Any, site: str, tmp_path: Path) -> None:
    file = settings_at(tmp_path, site)
    before = file.read_text("utf-8")
    file.write_text(f"{before}sources: [{{id: a, name: A, url: 'http://a.example/feed'}}]\n", "utf-8")
    done = call(empty_place, "sources", "add", f"http://{site}/feed.xml", "--to", str(file), "--id", "mine")
    assert done.exit_code == 2 and "Paste this under sources:" in done.stderr
    pasted = yaml.safe_load("sources:" + done.stderr.partition("under sources:")[2])["sources"]
    assert (pasted[0]["id"], pasted[0]["kind"]) == ("mine", "feed")


def test_an_id_that_stands_twice_is_said_in_one_sentence(
    empty_place: Any, call: Any, site: str, tmp_path: Path
) -> None:
    file = settings_at(tmp_path, site)
    one = "  - {id: a, name: A, url: 'http://a.example/feed'}\n"
    file.write_text(f"{file.read_text('utf-8')}sources:\n{one}{one}", "utf-8")
    done = call(empty_place, "sources", "list", "--settings", str(file))
    assert done.exit_code == 2 and "sources: the id 'a' stands twice." in done.stderr and "got" not in done.stderr


def test_check_says_each_source_as_soon_as_it_is_done(empty_place: Any, call: Any, site: str, tmp_path: Path) -> None:
    path = settings_at(tmp_path, site, f"url: 'http://{site}/feed.xml'", f"url: 'http://{site}/'")
    told = call(empty_place, "sources", "check", "--settings", str(path)).stderr
    assert re.search(r"^s0: ok, \d+\.\d s$", told, re.M) and re.search(r"^s1: failed, \d+\.\d s$", told, re.M)
    assert "s0:" not in call(empty_place, "sources", "check", "--settings", str(path), "--json").stderr


def test_add_begins_a_file_with_a_local_folder_and_ids_stay_apart(empty_place: Any, call: Any, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    for number, folder in enumerate(("one/notes", "two/notes")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.md").write_text("# A\n\nText.\n", "utf-8")
        done = call(empty_place, "sources", "add", str(tmp_path / folder), "--to", str(file))
        assert done.exit_code == 0, done.output
        assert len(yaml.safe_load(file.read_text("utf-8"))["sources"]) == number + 1
    listed = call(empty_place, "sources", "list", "--settings", str(file), "--json")
    assert [(one["id"], one["kind"]) for one in json.loads(listed.stdout)] == [
        ("notes", "folder"), ("notes_2", "folder"),
    ]  # fmt: skip


def test_add_without_a_file_only_shows(empty_place: Any, call: Any, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nText.\n", "utf-8")
    done = call(empty_place, "sources", "add", str(tmp_path / "a.md"))
    assert done.exit_code == 0 and "  - id: a\n" in done.stdout and "--to FILE" in done.stdout
    assert yaml.safe_load(done.stdout.partition("\n\n")[2].partition("\n\n")[0])["sources"][0]["kind"] == "file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "nonsense"), "neither a URL nor a path"),
        (("add", "http://127.0.0.1:9/"), "loopback"),
        (("add", "http://{site}/photo", "--to", "{file}"), "cannot be added"),
        (("add", "http://{site}/gone", "--to", "{file}"), "404"),
        (("add", "http://{site}/feed.xml", "--to", "{file}", "--id", "s0"), "there is a source 's0' already"),
        (("add", "http://{site}/feed.xml", "--to", "{file}", "--id", "no id"), "id:"),
        (("add", "http://me:secret@{site}/feed.xml", "--to", "{file}"), "user name or a password"),
        (("add", "http://{site}/feed.xml", "--kind", "fed"), "there is no kind 'fed'"),
        (("check", "--settings", "{file}", "s7"), "there is no source 's7'"),
        (("check", "--preset", "demo", "--settings", "{file}"), "exclude each other"),
        (("check", "--preset", "dem"), "Did you mean 'demo'"),
        (("list", "--settings", "absent.yaml"), "no such file"),
    ],
)
def test_a_bad_request_ends_with_code_2_and_changes_nothing(
    empty_place: Any, call: Any, site: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    file = settings_at(tmp_path, site, "url: 'http://other.example/feed'")
    before = file.read_text("utf-8")
    done = call(empty_place, "sources", *(one.format(site=site, file=file) for one in arguments))
    assert done.exit_code == 2, done.output
    assert message in done.stderr and "secret" not in done.stderr
    assert file.read_text("utf-8") == before
