"""Findings about what a phase asked for: retry storms, refusals, and costs out of proportion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from enrich_assets.core.units import money
from enrich_assets.engine.efforts import ROW_EFFORTS
from enrich_assets.engine.phase import Phase
from enrich_assets.reports.findings.finding import Facts, FindingRow, Found, median, percent

FEWEST_RETRIES = 10
"""A handful of retries is what backing off is for."""
RETRY_SHARE = 0.25
"""One request in four sent in vain takes a quarter of the time, and of an endpoint's rate."""
REFUSALS = ("refusal", "content filter")
"""Kinds of failures by which a model, or its provider, declines to answer."""
REFUSED_SHARE = 0.05
"""One refusal is an article; one in twenty is a subject that the report loses."""
FEWEST_REFUSALS = 2
"""A single refusal is no pattern."""
ROW_FACTOR = 10.0
"""Rows differ in length, by the settings' bound on the text two or three times; ten times is asked again and again."""
PHASE_FACTOR = 2.0
"""Twice as much a row as before: another price, a longer prompt, or many repetitions."""
FEWEST_ROWS = 5
"""With fewer rows, one long text is half of the sum."""
LEAST_USD = 0.01
"""Differences below a cent are worth nobody's time."""
MOST_REUSED = 0.5
"""A run that replays another one's answers shows nothing of what rows cost."""


def sends_requests(phase: Phase) -> bool:
    """Whether the phase asks models, search services or sites."""
    return phase.shape in ("ask", "row")


def asks_a_model(phase: Phase) -> bool:
    """Whether the phase may ask a model."""
    return phase.asks_a_model


def retry_storm(facts: Facts) -> Iterator[Found]:
    """Fewer than one request in four had to be sent again."""
    usage = facts.usage
    sent = usage.requests
    if usage.retries < FEWEST_RETRIES or usage.retries < RETRY_SHARE * sent:
        return
    rows = _rows(
        facts, _efforts(facts)["most_errors"], lambda row: f"{row['requests']} requests, {row['errors']} in vain"
    )
    yield Found(
        f"{usage.retries:,} of {sent:,} requests, {percent(usage.retries / sent)}, were repetitions.",
        "Look at the errors of the rows: ask less at once (concurrency), or, where answers were refused as malformed, "
        "mend the prompt.",
        rows or _failed_rows(facts, None),
    )


def refusals(facts: Facts) -> Iterator[Found]:
    """The model answers for at least nineteen rows in twenty."""
    refused = {kind: n for kind, n in facts.counts.failed_by_kind.items() if kind in REFUSALS}
    count, rows_in = sum(refused.values()), facts.counts.rows_in
    if count < FEWEST_REFUSALS or count < REFUSED_SHARE * rows_in:
        return
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in sorted(refused.items()))
    yield Found(
        f"{count:,} of {rows_in:,} rows, {percent(count / rows_in)}, were refused ({kinds}).",
        "Read the rows: say in the prompt what the text is for, or let another model judge this phase.",
        _failed_rows(facts, REFUSALS),
    )


def cost_outlier(facts: Facts) -> Iterator[Found]:
    """No row costs ten times what others cost, and the phase no more than twice what it cost in earlier runs."""
    yield from _dear_rows(facts)
    yield from _dear_phase(facts)


def _dear_rows(facts: Facts) -> Iterator[Found]:
    efforts = _efforts(facts)
    usual = efforts["median_usd"]
    # Of a prompt that several rows share, the whole cost stands at the first of them.
    if facts.phase.batched or efforts["rows"] < FEWEST_ROWS or not usual:
        return
    dear = [e for e in efforts["dearest"] if e["usd"] >= ROW_FACTOR * usual and e["usd"] - usual >= LEAST_USD]
    if not dear:
        return
    first = dear[0]
    which = "1 row" if len(dear) == 1 else f"{len(dear)} rows"
    yield Found(
        f"{which} cost {ROW_FACTOR:g} times the usual {money(usual)} or more; the dearest {money(first['usd'])} in "
        f"{first['requests']} requests.",
        "Read the rows: a long text (text_characters bounds it), or an answer that was refused again and again.",
        _rows(facts, dear, lambda row: f"{money(row['usd'])} in {row['requests']} requests"),
    )


def _dear_phase(facts: Facts) -> Iterator[Found]:
    cost, rows = facts.usage.paid, facts.counts.rows_in
    if cost is None or cost < LEAST_USD or rows < FEWEST_ROWS:
        return
    before = []
    for earlier in facts.earlier:
        counts, usage = earlier.envelope.counts, earlier.envelope.usage
        asked = usage.model_calls + usage.search_requests
        is_replay = usage.answers_reused > MOST_REUSED * (asked + usage.answers_reused)
        if usage.paid and counts.rows_in and not is_replay:
            before.append(usage.paid / counts.rows_in)
    if not before:
        return
    usual = median(before)
    if cost / rows < PHASE_FACTOR * usual or cost - usual * rows < LEAST_USD:
        return
    runs = "the run before" if len(before) == 1 else f"{len(before)} earlier runs"
    yield Found(
        f"A row cost {money(cost / rows)}, {cost / rows / usual:.1f} times the {money(usual)} of {runs}; "
        f"the phase {money(cost)}.",
        "See what changed: enrich compare with an earlier run names settings, prompts and models that differ.",
        _rows(facts, _efforts(facts)["dearest"], lambda row: money(row["usd"])),
    )


def _efforts(facts: Facts) -> Mapping[str, Any]:
    nothing = {"rows": 0, "median_usd": 0.0, "dearest": [], "most_errors": []}
    return {**nothing, **facts.notes.get(ROW_EFFORTS, {})}


def _rows(
    facts: Facts, efforts: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], str]
) -> list[FindingRow]:
    titles = facts.titles()
    return [
        FindingRow(row_id=effort["row_id"], title=titles.get(effort["row_id"], ""), value=value(effort))
        for effort in efforts
    ]


def _failed_rows(facts: Facts, kinds: tuple[str, ...] | None) -> list[FindingRow]:
    table = facts.table("failed")
    return [
        FindingRow(row_id=str(row["row_id"]), title=str(row["title"] or ""), value=str(row["failure_kind"]))
        for row in (table.to_pylist() if table is not None else ())
        if kinds is None or row["failure_kind"] in kinds
    ]
