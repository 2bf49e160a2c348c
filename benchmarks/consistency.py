"""How much an article's score depends on the articles that it is asked together with.

    python -m benchmarks.consistency [--rows 60] [--sizes 1,4,8,16] [--shuffles 5] [--threshold 5]
                                     [--model NAME] [--settings FILE] [--articles FILE]
                                     [--bias 0.5] [--bias-of place|neighbours] [--lost 0.02]

K articles in one request cost less than K requests, because the instructions are sent once; and the model sees K - 1
others beside the one that it judges. This asks the same articles in several orders, each with K a request, through the
engine: the phase tier2 of the intelligence graph with its own prompt, `run_phase`, and an empty ledger for each order,
so that what is measured is what runs. For each K it tells

    spread      standard deviation of an article's score over the orders, points of 10 (root mean square of all)
    largest     the largest difference between two scores of one article
    changed     articles whose score is not the same in all orders
    crossed     articles that stay in one order and leave in another, at the threshold
    off alone   mean difference between an article's mean score and its mean score alone (where 1 is among the sizes)
    left out    articles that an answer did not name
    unusable    articles whose answer kept no rule, so that it was asked for again
    calls, tokens in and out, each per article

Why it matters: tier2 takes eight articles a request by default, which is right as long as the spread is small against
the distance of the scores from the threshold; otherwise lower `tier2.batch`. tier3 decides which articles are reported
and in which order, so it stays at one article a request. A spread with K = 1 is the model's own: what it answers to
the very same request.

Without --settings nothing leaves this machine: a loopback model with a bias of known size is asked, which shows that
the measurement finds it (bias 0: spread 0; bias b: spread near b). With --settings FILE the model, the company and the
categories of that file count, and its endpoint is asked: sizes x orders requests over all articles, which are paid.
The articles are those of the demo site, or those of a run: --articles DATA/intelligence/RUN/tier1.parquet.

Prints a table and writes benchmarks/results/consistency.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.biased_server import BiasedServer
from benchmarks.shuffled import GRAPH, Found, measure
from enrich_assets.core.errors import EnrichError, UserError
from enrich_assets.graphs.intelligence.demo.content import read_articles
from enrich_assets.graphs.presets import load_preset, load_settings_file
from enrich_assets.models.llm import check_model, endpoints_of
from enrich_assets.models.settings import EXTRACTIVE

RESULTS = Path(__file__).parent / "results" / "consistency.json"


def demo_rows(count: int) -> list[dict[str, Any]]:
    """The first `count` English articles of the demo site, as tier2 reads them; raises UserError where it has fewer."""
    articles = [article for article in read_articles() if article.lang == "en"]
    if count > len(articles):
        raise UserError(f"the demo site has {len(articles)} articles.", fix="Ask for fewer, or name --articles FILE.")
    return [
        {"row_id": f"{i:04d}", "title": a.title, "text": "\n\n".join(a.paragraphs), "source_name": a.source.name}
        for i, a in enumerate(articles[:count])
    ]


def rows_of_run(path: Path, count: int) -> list[dict[str, Any]]:
    """The first `count` articles of a run's published table; raises UserError where it is none."""
    columns = ["row_id", "title", "text", "source_name"]
    try:
        return list(pq.read_table(path, columns=columns).slice(0, count).to_pylist())
    except (OSError, pa.ArrowException) as error:
        told = f"no articles can be read: {str(error).splitlines()[0]}"
        raise UserError(told, where=str(path), fix="Name a run's tier1.parquet.") from None


def settings_of(values: Mapping[str, Any], *, model: str, threshold: float | None, where: str) -> dict[str, Any]:
    """Resolved settings in which tier2 asks `model`, or the one that the settings name. Company and categories come
    from the demo where there are none. Raises SettingsError, and UserError where no model is named."""
    demo = load_preset("intelligence", "demo")
    own = dict(values.get("tier2") or {})
    own |= {"model": model} if model else {}
    own |= {} if threshold is None else {"threshold": threshold}
    given = {**{name: demo[name] for name in ("company", "categories")}, **values, "tier2": own, "sample": None}
    resolved = GRAPH.resolve(given, where=where)
    chosen = resolved["tier2"]["model"]
    if chosen == EXTRACTIVE:
        raise UserError("no model is named: extractive looks at each article alone.", where=where, fix="Name --model.")
    check_model(chosen, endpoints_of(resolved))
    return resolved


def loopback_settings(base_url: str, *, threshold: float | None = None) -> dict[str, Any]:
    """Settings in which a loopback model is asked."""
    endpoint = {"model": "openai/loopback", "base_url": base_url, "path": "direct", "context_tokens": 1_000_000}
    prices = {"usd_per_million_input": 0.15, "usd_per_million_output": 0.6}
    values = {"models": {"loopback": {**endpoint, **prices}}}
    return settings_of(values, model="loopback", threshold=threshold, where="benchmark")


def show(found: Sequence[Found]) -> None:
    """The table."""
    print(
        f"{'K':>3}{'spread':>8}{'largest':>9}{'changed':>9}{'crossed':>9}{'off alone':>11}{'left out':>10}"
        f"{'unusable':>10}"
    )
    for one in found:
        off = "" if one.off_alone is None else f"{one.off_alone:.3f}"
        print(
            f"{one.rows_a_request:>3}{one.spread:>8.3f}{one.largest:>9.2f}{one.changed:>9.1%}{one.crossed:>9.1%}"
            f"{off:>11}{one.left_out:>10.1%}{one.unusable:>10.1%}"
        )
    print(f"\n{'K':>3}{'calls':>8}{'tokens in':>11}{'tokens out':>12}   each per article")
    for one in found:
        print(f"{one.rows_a_request:>3}{one.calls:>8.3f}{one.tokens_in:>11.1f}{one.tokens_out:>12.1f}")
    failed = [one for one in found if one.failed]
    for one in failed:
        print(f"with {one.rows_a_request} a request {one.failed:.1%} of the articles got no score at all")


def main() -> None:
    """Measures, prints the table and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=60, help="articles")
    parser.add_argument("--sizes", default="1,4,8,16", help="articles a request, with commas")
    parser.add_argument("--shuffles", type=int, default=5, help="orders of the articles")
    parser.add_argument("--threshold", type=float, help="points at which an article stays; by default tier2's")
    parser.add_argument("--articles", type=Path, help="a run's tier1.parquet instead of the demo's articles")
    parser.add_argument("--settings", type=Path, help="settings file whose models are asked (and paid)")
    parser.add_argument("--model", default="", help="with --settings: the model, by default tier2's of that file")
    parser.add_argument("--bias", type=float, default=0.5, help="loopback model: spread that it is to show, points")
    parser.add_argument("--bias-of", choices=("place", "neighbours"), default="place", help="what the bias comes from")
    parser.add_argument("--lost", type=float, default=0.02, help="loopback model: share of rows without usable answer")
    given = parser.parse_args()
    sizes = _sizes(given.sizes)
    if not sizes or given.shuffles < 2 or given.rows < 2:
        parser.error("--sizes are whole numbers of 1 to 50, --shuffles and --rows at least 2")
    if given.model and given.settings is None:
        parser.error("--model needs --settings FILE: without it only the loopback model is asked")
    try:
        rows = demo_rows(given.rows) if given.articles is None else rows_of_run(given.articles, given.rows)
        if given.settings is None:
            with BiasedServer(bias=given.bias, kind=given.bias_of, lost=given.lost) as server:
                threshold = 5.0 if given.threshold is None else given.threshold
                resolved = loopback_settings(server.base_url, threshold=threshold)
                found = measure(rows, resolved, sizes=sizes, shuffles=given.shuffles)
            model = f"loopback, bias {given.bias:g} by {given.bias_of}, {given.lost:.1%} of the rows lost"
        else:
            values = load_settings_file(given.settings)
            where = str(given.settings)
            resolved = settings_of(values, model=given.model, threshold=given.threshold, where=where)
            model = str(resolved["tier2"]["model"])
            asked = given.shuffles * sum(-(-len(rows) // size) for size in sizes)
            print(f"asking {model}: at least {asked} requests", file=sys.stderr, flush=True)
            found = measure(rows, resolved, sizes=sizes, shuffles=given.shuffles)
    except EnrichError as error:
        parser.exit(error.exit_code, f"Error: {error}\n")
    threshold = float(resolved["tier2"]["threshold"])
    print(f"{model}: {len(rows)} articles in {given.shuffles} orders, threshold {threshold:g}\n")
    show(found)
    told = {"model": model, "rows": len(rows), "shuffles": given.shuffles, "threshold": threshold}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**told, "sizes": [asdict(one) for one in found]}, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


def _sizes(text: str) -> list[int]:
    parts = text.split(",")
    found = [int(part) for part in parts if part.strip().isdigit()]
    return found if len(found) == len(parts) and all(1 <= size <= 50 for size in found) else []


if __name__ == "__main__":
    main()
