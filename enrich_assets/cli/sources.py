"""`enrich sources`: looks at the sources of settings, adds one, lists them. Without a run, and nothing is paid."""

from __future__ import annotations

import asyncio
import codecs
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import DASH, clean, console, counted, number, plain_table, say, write_json
from enrich_assets.cli.place import DEFAULT_GRAPH
from enrich_assets.core.errors import CallError, SettingsError, UserError
from enrich_assets.core.written import decoded

if TYPE_CHECKING:
    from enrich_assets.engine.clients import Pages
    from enrich_assets.web.settings import HttpSettings
    from enrich_assets.web.sources.checking import Checked
    from enrich_assets.web.sources.probing import Found
    from enrich_assets.web.sources.source import Source

AT_ONCE = 8
"""Sources that are looked at at the same time."""

app = typer.Typer(no_args_is_help=True, help="Look at the sources of settings, add one, list them.")

_PRESET = Annotated[str, typer.Option(metavar="NAME", help="The sources of a preset.", show_default=False)]
_FILE = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="The sources of a settings file.", show_default=False)
]
_JSON = Annotated[bool, typer.Option("--json", help="As JSON.")]


@dataclass(frozen=True)
class _Sources:
    """The sources of settings, and how they are reached."""

    sources: tuple[Source, ...]
    http: HttpSettings
    preset: str
    now: datetime
    """The moment that counts as now: the settings' own, where they state one."""


@app.command("check")
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="IDs; without any, all of them.", show_default=False)
    ] = None,
    preset: _PRESET = "",
    settings: _FILE = None,
    as_json: _JSON = False,
) -> None:
    """Read what every source lists: status, entries, newest item, robots.txt, advice.

    Nothing is kept or paid. Ends with code 1 when a source failed.
    """
    known = _sources(preset, settings)
    chosen = _chosen(known.sources, names or [])
    if not as_json:
        say(f"Reading {counted(len(chosen), 'source')} …")
    found = asyncio.run(_all_checked(known, chosen, tell=not as_json))
    if as_json:
        write_json([_as_record(one) for one in found])
    else:
        _print_checked(found, known.now)
    if any(one.status == "failed" for one in found):
        raise typer.Exit(1)


@app.command("list")
def list_(preset: _PRESET = "", settings: _FILE = None, as_json: _JSON = False) -> None:
    """List the sources without reading them."""
    known = _sources(preset, settings)
    if as_json:
        write_json([one.model_dump(mode="json") for one in known.sources])
        return
    if not known.sources:
        print("There is no source. Add one: enrich sources add URL --to FILE")
        return
    table = plain_table("source", "kind", "address")
    table.columns[0].no_wrap = True
    for one in known.sources:
        table.add_row(one.id, one.kind, clean(one.url))
    console().print(table)


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="A feed, sitemap, page, site, or a local path.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write it into this settings file.", show_default=False)
    ] = None,
    source_id: Annotated[str, typer.Option("--id", metavar="ID", help="Its ID.", show_default=False)] = "",
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="What it is read as, found out without.", show_default=False)
    ] = "",
) -> None:
    """Find out what kind of source a URL is, and show or write its settings.

    The file keeps its comments; it is made where there is none.
    """
    from enrich_assets.graphs.settings_text import item_text, with_item

    path = to.absolute() if to is not None else None
    has_file = path is not None and path.exists()
    known = _sources("", path) if has_file else _Sources((), _default_http(), "", datetime.now(UTC))
    if source_id:
        _refuse_taken(known.sources, source_id, "")
    _refuse_taken(known.sources, "", url)
    _refuse_unknown_kind(kind)
    found = asyncio.run(_probed(known, url, kind))
    _refuse_taken(known.sources, "", found.source.url)
    item = _as_item(found, known.sources, source_id)
    print(f"{clean(url)} {found.why}: {counted(len(found.listing.entries), 'entry', 'entries')}.\n")
    print("sources:\n" + _clean_lines(item_text(item)), end="")
    for warning in found.listing.warnings:
        say(f"note    {warning}")
    if path is None:
        print("\nnext    enrich sources add URL --to FILE writes it into a settings file")
        return
    raw = path.read_bytes() if has_file else b""
    mark = "\ufeff" if raw.startswith(codecs.BOM_UTF8) else ""
    _write(path, mark + with_item(decoded(raw), "sources", item, where=str(path)))
    print(f"\nWritten to {path}.\nnext    enrich sources check --settings {to} {item['id']}")


def _sources(preset: str, file: Path | None) -> _Sources:
    from enrich_assets.graphs.catalog import graph_named
    from enrich_assets.graphs.presets import DEFAULT_PRESET, load_preset, load_settings_file

    if preset and file is not None:
        raise UserError("--preset and --settings exclude each other.", fix="Name one of them.")
    graph = graph_named(DEFAULT_GRAPH)
    name = "" if file is not None else preset or DEFAULT_PRESET
    values = load_settings_file(file.absolute()) if file is not None else load_preset(graph.name, name)
    where = str(file.absolute()) if file is not None else f"preset {name}"
    resolved = graph.resolve({key: item for key, item in values.items() if key != "preset"}, where=where)
    shared = graph.shared_of(resolved)
    now = shared.as_of or datetime.now(UTC)
    return _Sources(shared.sources, shared.http, name or str(values.get("preset") or ""), now)


def _default_http() -> HttpSettings:
    from enrich_assets.web.settings import HttpSettings

    return HttpSettings()


def _chosen(sources: Sequence[Source], names: list[str]) -> list[Source]:
    import difflib

    by_id = {one.id: one for one in sources}
    for name in names:
        if name not in by_id:
            close = difflib.get_close_matches(name, by_id, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            listed = "enrich sources list shows them."
            raise UserError(f"there is no source {clean(name)!r:.80}.", fix=f"{hint}{listed}")
    if not sources:
        raise UserError("the settings have no source.", fix="Add one: enrich sources add URL --to FILE")
    return [by_id[name] for name in dict.fromkeys(names)] or list(sources)


async def _all_checked(known: _Sources, chosen: Sequence[Source], *, tell: bool) -> list[Checked]:
    from enrich_assets.web.sources.checking import checked

    room = asyncio.Semaphore(AT_ONCE)

    async def one(source: Source, pages: Pages) -> Checked:
        async with room:
            found = await checked(source, pages, known.now, robots=known.http.robots)
        if tell and len(chosen) > 1:
            say(f"{found.source.id}: {found.status}, {found.seconds:.1f} s")
        return found

    async with _open_pages(known) as pages:
        return list(await asyncio.gather(*(one(source, pages) for source in chosen)))


def _refuse_unknown_kind(kind: str) -> None:
    from enrich_assets.web.sources.kind import kind_names

    known = kind_names()
    if kind and kind not in known:
        raise UserError(f"there is no kind {clean(kind)!r:.80} of source.", fix=f"Name one of {', '.join(known)}.")


async def _probed(known: _Sources, url: str, kind: str) -> Found:
    from enrich_assets.web.sources.probing import probed

    async with _open_pages(known) as pages:
        try:
            return await probed(url.strip(), pages, kind)
        except CallError as error:
            raise UserError(f"cannot be added: {error.what}", where=error.where or url[:300], fix=error.fix) from None


def _open_pages(known: _Sources) -> Any:
    from contextlib import AsyncExitStack, asynccontextmanager

    from enrich_assets.graphs.catalog import graph_named
    from enrich_assets.store.store import Store
    from enrich_assets.web.forgotten import ForgottenFile
    from enrich_assets.web.http import HttpClient
    from enrich_assets.web.sources.direct import DirectPages

    @asynccontextmanager
    async def opened() -> Any:
        site = graph_named(DEFAULT_GRAPH).sites.get(known.preset)
        async with AsyncExitStack() as stack:
            routes = stack.enter_context(site()).routes if site is not None else {}
            http = await stack.enter_async_context(HttpClient(known.http, routes=routes))
            yield DirectPages(http, ForgottenFile(Store.from_environment().root).holding())

    return opened()


def _print_checked(found: Sequence[Checked], now: datetime) -> None:
    table = plain_table("source", "kind", "status", "entries", "newest", "robots", right=("entries",))
    for one in found:
        newest = DASH if one.newest is None else _ago(now, one.newest)
        entries = DASH if one.status == "failed" else number(one.entries)
        table.add_row(one.source.id, one.source.kind, one.status, entries, newest, one.robots)
    out = console()
    out.print(table)
    for one in found:
        lines = [clean(line) for line in (one.error, *one.advice) if line]
        wrapped = (textwrap.fill(line, out.width, initial_indent="  ", subsequent_indent="  ") for line in lines)
        if lines:
            print("\n".join(["", one.source.id, *wrapped]))


def _ago(now: datetime, then: datetime) -> str:
    days = (now - then).days
    return "today" if days == 0 else f"{counted(days, 'day')} ago" if days > 0 else f"{then:%Y-%m-%d}"


def _as_record(one: Checked) -> dict[str, Any]:
    return {
        "source_id": one.source.id,
        "name": one.source.name,
        "kind": one.source.kind,
        "url": one.source.url,
        "status": one.status,
        "error": one.error,
        "error_kind": one.error_kind,
        "entries": one.entries,
        "newest": one.newest,
        "robots": one.robots,
        "taken": one.taken,
        "documents": one.documents,
        "bytes": one.bytes,
        "seconds": round(one.seconds, 3),
        "advice": list(one.advice),
    }


def _as_item(found: Found, sources: Sequence[Source], source_id: str) -> dict[str, Any]:
    from enrich_assets.core.settings import validated_settings
    from enrich_assets.web.sources.probing import unique_id
    from enrich_assets.web.sources.source import Source

    wanted = source_id or unique_id(found.source.id, {one.id for one in sources})
    item = {"id": wanted, "name": found.source.name, "url": found.source.url, "kind": found.source.kind}
    validated_settings(Source, item, where="the new source")
    return item


def _refuse_taken(sources: Sequence[Source], source_id: str, url: str) -> None:
    from enrich_assets.web.urls import canonicalize

    for one in sources:
        if source_id and one.id == source_id:
            raise SettingsError(f"there is a source {source_id!r} already.", where=one.url, fix="Choose another --id.")
        if url and canonicalize(one.url) == canonicalize(url):
            raise SettingsError(
                f"the source {one.id!r} reads that address already.", where=one.url, fix="Change that one, if need be."
            )


def _write(path: Path, text: str) -> None:
    from upath import UPath

    from enrich_assets.core.files import write_atomic

    target = path.resolve()  # a symbolic link stays one
    mode = target.stat().st_mode & 0o777 if target.exists() else None
    write_atomic(UPath(target), text.encode("utf-8"))
    if mode is not None:
        target.chmod(mode)


def _clean_lines(text: str) -> str:
    """Text for a terminal, its line breaks kept."""
    return "".join(f"{clean(line)}\n" for line in text.splitlines())
