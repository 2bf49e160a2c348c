"""`enrich compare`: what differs between two runs, and for each article that differs why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich_assets.cli.output import (
    DASH,
    OWN_SETTINGS,
    clean,
    console,
    counted,
    duration,
    money,
    number,
    plain_table,
    say,
    write_json,
)
from enrich_assets.cli.place import Place, open_place
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from enrich_assets.reading import Run
    from enrich_assets.reports.compare.content import ArticleChange, Comparison, PhasePair

_SHOWN = 20
"""Articles of one kind of change that the terminal shows."""
_LINES = 12
"""Lines of a prompt's difference that the terminal shows."""


def compare(
    run1: Annotated[str, typer.Argument(metavar="RUN1", show_default=False, help="The run to compare with.")],
    run2: Annotated[
        str,
        typer.Argument(
            metavar="RUN2", show_default=False, help="The other run; by default the newest other one of its series."
        ),
    ] = "",
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page too.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Compare two runs: settings, prompts, articles, scores, cost and time.

    For each article that came, went, moved or changed it says why: settings, prompt, model, page or code. With enrich
    run --like it is the A/B test of a phase.
    """
    from enrich_assets.reports.compare.comparison import compare as compared

    with open_place() as place:
        found = compared(*((_open(place, run1), _open(place, run2)) if run2 else _with_its_series(place, run1)))
    if html is not None:
        _write_page(found, html)
    write_json(found.model_dump(mode="json")) if as_json else _print(found)


def _with_its_series(place: Place, reference: str) -> tuple[Run, Run]:
    """The run and the newest other one of its series, the one that began earlier first."""
    run = _open(place, reference)
    known = place.ledger.run(run.run_id)
    series = str(known["series"]) if known else run.series
    # Newest first, so that the one that is met first is the later one of the two.
    listed = [str(one["run_id"]) for one in place.ledger.runs(run.graph.name, series=series)]
    other = next((run_id for run_id in listed if run_id != run.run_id), None)
    if other is None:
        raise UserError(
            f"{run.run_id} is the only run of its series{f' {clean(series)!r}' if series else ''}.",
            fix=f"Name another to compare it with: enrich compare {run.run_id} RUN2. enrich runs lists them.",
        )
    is_newest = listed[0] == run.run_id
    return (_open(place, other), run) if is_newest else (run, _open(place, other))


def _open(place: Place, reference: str) -> Run:
    from enrich_assets.reading import Run

    graph, run_id = place.find_run(reference)
    return Run(place.store, graph, run_id)


def _write_page(found: Comparison, path: Path) -> None:
    from enrich_assets.reports.compare.page import comparison_page

    if path.is_dir():
        raise UserError("it is a folder.", where=str(path), fix="Name a file: --html compare.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(comparison_page(found), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"it cannot be written: {error.strerror}.", where=str(path), fix="Name another file."
        ) from error
    say(f"written: {path}")


def _print(found: Comparison) -> None:
    from rich.text import Text

    from enrich_assets.reports.compare.content import CHANGES

    out = console()
    for word, run in (("before", found.old), ("after ", found.new)):
        titled = f" · {clean(run.title)}" if run.title else ""
        like = f" · like {run.like}" if run.like else ""
        incomplete = "" if run.is_complete else " · not complete"
        told = f"{word}  {run.run_id}{titled} · {clean(run.preset) or OWN_SETTINGS}{like}{incomplete}"
        out.print(Text(told, style="bold"))
    for note in found.notes:
        out.print(clean(note))
    _print_given(found, out)
    changes = [(change, found.of(change)) for change in CHANGES]
    summary = ", ".join(f"{len(articles)} {change}" for change, articles in changes)
    out.print()
    out.print(Text(f"articles: {summary}, {found.unchanged} as before", style="bold"))
    for change, articles in changes:
        for article in articles[:_SHOWN]:
            _print_article(change, article, out)
        if len(articles) > _SHOWN:
            out.print(f"  … {len(articles) - _SHOWN} more {change}: --json has all of them", style="dim")
    if found.elsewhere:
        out.print(f"{counted(found.elsewhere, 'further row')} ended otherwise and reached neither report", style="dim")
    out.print()
    _print_phases(found, out)


def _print_given(found: Comparison, out: Any) -> None:
    if not (found.settings or found.models or found.prompts or found.code):
        out.print("the same settings, prompts, models and code")
    for item in found.settings:
        out.print(f"setting  {clean(item.path)}: {clean(item.old) or DASH} → {clean(item.new) or DASH}")
    for model in found.models:
        out.print(f"model    {model.phase}: {clean(model.old)} → {clean(model.new)}")
    for prompt in found.prompts:
        hashes = f"{prompt.old_sha256[:10] or 'none'} → {prompt.new_sha256[:10] or 'none'}"
        out.print(f"prompt   {prompt.phase}: {prompt.file} {hashes}")
        for line in prompt.lines[:_LINES]:
            out.print(f"         {clean(line)}", style="dim")
        if len(prompt.lines) > _LINES:
            out.print(f"         … {len(prompt.lines) - _LINES} more lines: --html or --json", style="dim")
    if found.code:
        out.print(f"code     {', '.join(found.code)}")


def _print_article(change: str, article: ArticleChange, out: Any) -> None:
    from rich.text import Text

    rank = {
        "came": f"rank {article.new_rank}" if article.new_rank else "",
        "went": f"rank {article.old_rank}" if article.old_rank else "",
        "moved": f"rank {article.old_rank} → {article.new_rank}",
        "changed": f"rank {article.new_rank}" if article.new_rank else "",
    }[change]
    title = Text(f"  {change:<8}{clean(article.title) or article.row_id}", no_wrap=True, overflow="ellipsis")
    out.print(title)
    where = ", ".join(part for part in (rank, f"{article.first_phase}: {article.told}") if part)
    out.print(f"          {clean(where)}", style="dim")
    if change in ("moved", "changed") and article.scores:
        scores = ", ".join(f"{s.name} {_points(s.old)} → {_points(s.new)}" for s in article.scores)
        out.print(f"          {clean(scores)}", style="dim")
    for cause in article.causes:
        through = " (through other articles)" if cause.through_others else ""
        out.print(f"          {cause.kind}: {clean(cause.detail)}{through}")


def _print_phases(found: Comparison, out: Any) -> None:
    table = plain_table("phase", "rows", "requests", "cost", "time", "data", right=("rows", "requests", "cost", "time"))
    for pair in found.phases:
        table.add_row(
            pair.phase,
            _both(pair, lambda n: number(n.rows_out)),
            _both(pair, lambda n: number(n.calls)),
            _both(pair, lambda n: money(n.cost)),
            _both(pair, lambda n: duration(n.seconds)),
            "same" if pair.same_data else "",
        )
    table.add_row(
        "together",
        "",
        "",
        f"{money(found.old.cost)} → {money(found.new.cost)}",
        f"{duration(found.old.seconds)} → {duration(found.new.seconds)}",
        "",
    )
    out.print(table)


def _both(pair: PhasePair, shown: Any) -> str:
    if pair.old is None and pair.new is None:
        return DASH
    return " → ".join(DASH if side is None else shown(side) for side in (pair.old, pair.new))


def _points(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"
