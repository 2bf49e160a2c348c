"""`enrich forget`: removes what comes from a domain or a URL, with what quotes it, and keeps it from coming back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from enrich_assets.cli.output import clean, console, counted, plain_table, say
from enrich_assets.cli.place import Place, open_place
from enrich_assets.core.errors import UserError

if TYPE_CHECKING:
    from enrich_assets.defs.forgetting import Plan
    from enrich_assets.web.forgotten import Pattern

_RUNS_NAMED = 20
_PLURALS = {
    "pages": ("stored page", ""),
    "texts": ("extracted text", ""),
    "page_answers": ("page answer of the ledger", "page answers of the ledger"),
    "search_answers": ("search answer, less its hits there", "search answers, less their hits there"),
    "model_answers": ("model answer made from it", "model answers made from it"),
    "runs": ("run that holds something of it", "runs that hold something of it"),
    "phases": ("published phase of these runs", "published phases of these runs"),
}


def forget(
    target: Annotated[
        str, typer.Argument(metavar="DOMAIN|URL", show_default=False, help="example.com covers its subdomains.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it without asking.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show what was forgotten, and when.")] = False,
    lifted: Annotated[bool, typer.Option("--lift", help="Let DOMAIN|URL be read again; nothing comes back.")] = False,
) -> None:
    """Remove for good what was read from a domain or a URL, and do not read it again.

    Shows first what would go: pages, texts, answers, and the phases of runs that hold something of it. enrich resume
    RUN makes these again without it, out of the answers that are left.
    """
    from enrich_assets.web.forgotten import pattern_of

    if sum((listed, lifted, yes)) > 1 or bool(target) == listed:
        raise UserError(
            "it is not clear what to do.",
            fix="enrich forget DOMAIN|URL [--yes], enrich forget --lift DOMAIN|URL, or enrich forget --list.",
        )
    if listed:
        with open_place() as place:
            _print_list(place)
        return
    pattern = pattern_of(target)
    with open_place(to_execute=True, needs_room=False) as place:
        if lifted:
            _lift(place, pattern)
        else:
            _forget(place, pattern, is_confirmed=yes)


def _forget(place: Place, pattern: Pattern, *, is_confirmed: bool) -> None:
    from enrich_assets.cli.run import import_quietly
    from enrich_assets.defs.forgetting import forget as forget_it
    from enrich_assets.defs.forgetting import plan_forgetting
    from enrich_assets.engine.ledger import utc_now
    from enrich_assets.graphs.catalog import GRAPHS

    import_quietly()
    graphs = list(GRAPHS.values())
    plan = plan_forgetting(pattern, graphs, place.store, place.ledger)
    _print_plan(pattern, plan)
    if not is_confirmed and not _is_confirmed(pattern):
        raise UserError("nothing was removed.", fix=f"enrich forget {clean(pattern.text)} --yes removes it.")
    removed = forget_it(pattern, graphs, place.store, place.ledger, clock=utc_now)
    print(f"{clean(pattern.text)} is forgotten: {', '.join(_told(removed)) or 'nothing of it was stored'}.")
    for run in [run for run in plan.runs if run.published][:_RUNS_NAMED]:
        print(f"next    enrich resume {run.run_id}")


def _print_plan(pattern: Pattern, plan: Plan) -> None:
    told = _told(plan.counts)
    print(f"Of {clean(pattern.text)} would go: {', '.join(told) or 'nothing, for nothing of it is stored'}.")
    if plan.traces.shared:
        print(f"{counted(len(plan.traces.shared), 'document')} also came from elsewhere, and would stay.")
    published = [run for run in plan.runs if run.published]
    for run in published[:_RUNS_NAMED]:
        print(f"  run {run.run_id}: {', '.join(run.published)}")
    if len(published) > _RUNS_NAMED:
        print(f"  and {counted(len(published) - _RUNS_NAMED, 'more run')}")


def _told(counts: dict[str, int]) -> list[str]:
    return [counted(counts[name], *words) for name, words in _PLURALS.items() if counts.get(name)]


def _is_confirmed(pattern: Pattern) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"Remove this for good, and read nothing of {clean(pattern.text)} again?", err=True)


def _lift(place: Place, pattern: Pattern) -> None:
    from enrich_assets.defs.forgetting import lift
    from enrich_assets.engine.ledger import utc_now

    if not lift(pattern, place.store, place.ledger, clock=utc_now):
        raise UserError(f"{clean(pattern.text)} is not forgotten.", fix="enrich forget --list shows what is.")
    print(f"{clean(pattern.text)} is read again where a run asks for it; what was removed stays away.")


def _print_list(place: Place) -> None:
    from enrich_assets.web.forgotten import ForgottenFile

    entries = ForgottenFile(place.store.root).entries()
    if not entries:
        print("Nothing was forgotten.")
        return
    table = plain_table("what", "since", "state", "removed")
    for entry in entries:
        state = "lifted" if entry.lifted_at else "forgotten" if entry.finished_at else "not finished"
        table.add_row(clean(entry.pattern), clean(entry.begun_at), state, ", ".join(_told(entry.removed)) or "nothing")
    console().print(table)
    for entry in entries:
        if entry.finished_at is None and entry.lifted_at is None:
            say(f"Not finished: enrich forget {entry.pattern} --yes")
