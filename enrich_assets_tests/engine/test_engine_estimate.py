"""Estimates: rows flow, calls follow, doubt is carried; an interval holds as often as it says."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich_assets.engine.estimate import accuracy, estimate
from enrich_assets.engine.plans import Assumed, Looked, Plan, Seen
from enrich_assets.engine.typical import answer_characters
from enrich_assets.engine.uncertain import Span, Uncertain, doubted, rate, total, within_factor

PRICE = (2e-6, 8e-6)


def seen(**values: object) -> Seen:
    return replace(
        Seen("r", "m", True, rows=100, passed=50, units=100, calls=100, tokens_in=1000, tokens_out=100), **values
    )


def asking(**values: object) -> Plan:
    return replace(Plan(2, "judged", "ask", model="m", usd=PRICE, seen=[seen()]), **values)


def test_doubt_from_one_source_adds_up_and_from_two_it_does_not() -> None:
    same = total([doubted(10, 2, "rows"), doubted(10, 2, "rows")])
    apart = total([doubted(10, 2, "rows"), doubted(10, 2, "tokens")])
    assert same.value == apart.value == 20
    assert same.deviation == pytest.approx(4) and apart.deviation == pytest.approx(math.sqrt(8))


def test_a_product_has_the_relative_doubt_of_both() -> None:
    product = doubted(10, 1, "a") * doubted(20, 4, "b")
    assert product.value == 200
    assert product.deviation / product.value == pytest.approx(math.hypot(0.1, 0.2))


def test_a_limit_cuts_the_value_and_the_doubt() -> None:
    rows = doubted(100, 10, "rows")
    assert rows.at_most(40).value == pytest.approx(40) and rows.at_most(40).deviation < 0.01
    assert rows.at_most(1000) == Uncertain(100, {"rows": pytest.approx(10)})
    near = rows.at_most(100)
    assert 95 < near.value < 100 and near.deviation == pytest.approx(5, rel=0.05)
    assert rows.beyond(40).value == pytest.approx(60)


def test_a_limit_on_what_is_hardly_known_leaves_some_of_it() -> None:
    vague = doubted(126, 300, "rows")
    spread = math.sqrt(math.log1p((300 / 126) ** 2))
    draw = random.Random(1)
    drawn = [min(15.0, draw.lognormvariate(math.log(126) - spread**2 / 2, spread)) for _ in range(20_000)]
    assert vague.at_most(15).value == pytest.approx(sum(drawn) / len(drawn), rel=0.02)
    assert vague.beyond(15).value == pytest.approx(126 - vague.at_most(15).value)


def test_a_factor_is_the_interval() -> None:
    span = within_factor(100, 2, "assumed").span()
    assert (span.low, span.likely, span.high) == (pytest.approx(50), 100, pytest.approx(200))


def test_runs_that_differ_widen_a_rate_beyond_the_dice() -> None:
    alike = rate([(50, 100), (50, 100)], law="share", ahead=100, source="s")
    apart = rate([(20, 100), (80, 100)], law="share", ahead=100, source="s")
    assert alike is not None and apart is not None
    assert alike.value == apart.value == 0.5
    assert apart.deviation > 4 * alike.deviation
    assert rate([], law="share", ahead=1, source="s") is None


def test_a_rate_of_one_still_has_some_doubt() -> None:
    found = rate([(10, 10)], law="share", ahead=10, source="s")
    assert found is not None and found.value == 1 and 0.02 < found.deviation < 0.2


def test_the_interval_holds_in_four_runs_of_five() -> None:
    # A run of 200 rows is seen, another like it is foretold: binomial sieves, a repeated call now and then.
    drawn = random.Random(5)
    held = 0
    for _ in range(400):
        share = drawn.uniform(0.2, 0.8)

        def one_run(share: float = share) -> tuple[int, int]:
            rows = sum(drawn.random() < share for _ in range(200))
            return rows, rows + sum(drawn.random() < 0.15 for _ in range(rows))

        rows, calls = one_run()
        plans = [
            Plan(1, "sieved", "table", seen=[seen(rows=200, passed=rows, calls=0)]),
            asking(seen=[seen(rows=rows, passed=rows, units=rows, calls=calls)]),
        ]
        span = estimate(plans, 200).calls
        held += span.low <= one_run()[1] <= span.high
    assert 0.74 <= held / 400 <= 0.88


def test_rows_flow_and_calls_tokens_and_usd_follow() -> None:
    sieve = Plan(1, "sieved", "table", seen=[seen(rows=100, passed=40, calls=0)])
    found = estimate([sieve, asking()], 1000)
    judged = found.phases[1]
    assert found.phases[0].rows_out.likely == judged.rows_in.likely == 400
    assert judged.calls.likely == 400 and judged.rows_out.likely == 200
    assert (judged.tokens_in.likely, judged.tokens_out.likely) == (4000, 400)
    assert found.usd is not None and found.usd.likely == pytest.approx(4000 * PRICE[0] + 400 * PRICE[1])
    assert judged.calls.low < 400 < judged.calls.high


def test_several_rows_travel_in_one_call() -> None:
    batched = asking(batch=8, seen=[seen(units=13, calls=13, tokens_in=13_000)])
    assert estimate([batched], 33).calls.likely == 5
    assert estimate([replace(batched, looked=Looked(kept=0, open=9, calls=2, known=24))], 33).calls.likely == 2


def test_what_is_done_or_known_costs_nothing() -> None:
    done = asking(done=(100, 48))
    known = asking(looked=Looked(kept=48, open=0, calls=0, known=100))
    for plan in (done, known):
        found = estimate([plan], 100)
        assert found.calls == found.usd == Span(0, 0, 0)
        assert found.phases[0].rows_out == Span(48, 48, 48)
    assert estimate([known], 100).phases[0].known == 100


def test_what_is_held_is_not_asked_again_and_new_rows_are() -> None:
    certain = asking(held=100, is_same=True)
    assert estimate([certain], 100).calls == Span(0, 0, 0)
    assert estimate([certain], 130).calls.likely == pytest.approx(30)
    some = estimate([asking(held=100)], 90).calls
    assert some.likely == some.low == 0 and 0 < some.high < 20


def test_a_sample_bounds_the_rows_that_are_asked_about() -> None:
    found = estimate([asking(sample=10)], 1000)
    assert found.calls.likely == 10 and found.phases[0].rows_in.likely == 1000
    assert found.phases[0].rows_out.likely == pytest.approx(5, rel=1e-3)


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    found = estimate([asking(usd=None)], 100)
    assert found.usd is None and found.phases[0].usd is None and found.calls.likely == 100
    assert found.compact()["usd"] is None
    assert estimate([asking(usd=None, done=(5, 5))], 100).usd == Span(0, 0, 0)


def test_without_a_run_it_is_assumed_and_said_and_wide() -> None:
    assumed = Assumed(passes=0.5, tokens_in=1200, tokens_out=150)
    found = estimate([asking(seen=(), assumed=assumed)], 100)
    assert found.phases[0].assumed == ("passes", "tokens")
    assert found.tokens_in.likely == 120_000 and found.tokens_in.high == pytest.approx(240_000)
    assert estimate([asking()], 100).phases[0].assumed == ()


def test_other_settings_widen_the_interval() -> None:
    like = estimate([asking()], 100).phases[0].rows_out
    other = estimate([asking(seen=[seen(is_like=False)])], 100).phases[0].rows_out
    assert like.likely == pytest.approx(other.likely, rel=1e-3) and other.high - other.low > like.high - like.low


@given(
    rows=st.integers(0, 10_000),
    passed=st.integers(0, 100),
    calls=st.integers(0, 300),
    batch=st.integers(1, 50),
    held=st.integers(0, 5000),
    limit=st.one_of(st.none(), st.integers(1, 100)),
    sample=st.one_of(st.none(), st.integers(1, 100)),
)
def test_low_likely_and_high_are_in_order(
    rows: int, passed: int, calls: int, batch: int, held: int, limit: int | None, sample: int | None
) -> None:
    shown = seen(passed=passed, calls=calls, units=100 / batch)
    plans = [
        Plan(1, "sieved", "table", limit=limit, seen=[seen(passed=passed, calls=0)]),
        asking(batch=batch, held=held, sample=sample, seen=[shown]),
        Plan(3, "read", "row", model="m", usd=PRICE, seen=[shown]),
    ]
    found = estimate(plans, rows)
    spans = [found.calls, found.tokens_in, found.tokens_out, found.usd]
    for one in found.phases:
        spans += [one.rows_in, one.rows_out, one.calls, one.searches, one.pages, one.tokens_in, one.usd]
    for span in spans:
        assert span is not None and 0 <= span.low <= span.likely <= span.high < math.inf
        low, likely, high = span.rounded()
        assert low <= likely <= high


def test_how_far_off_it_was() -> None:
    frozen = {"calls": [80, 100, 120], "usd": [0.31, 0.42, 0.60]}
    found = accuracy(frozen, calls=130, usd=0.45)
    assert found["usd"]["off"] == pytest.approx(0.0714, abs=1e-3) and found["usd"]["within"]
    assert found["calls"]["off"] == pytest.approx(0.3) and not found["calls"]["within"]
    assert accuracy({"calls": [0, 0, 1], "usd": None}, calls=0, usd=None)["usd"]["off"] is None


def test_the_length_of_an_answer_comes_from_its_schema() -> None:
    text = {"type": "string", "maxLength": 300}
    assert answer_characters(text) == 150
    listed = {"type": "array", "items": {"type": "object", "properties": {"name": text}}}
    assert 4 * 150 < answer_characters(listed) < 4 * 180
    assert answer_characters({"$ref": "#/$defs/A", "$defs": {"A": text}}) == 150


def test_rows_that_are_judged_anew_bring_other_rows_behind_them() -> None:
    judged = asking(number=1, phase="judged", held=0)
    ranked = Plan(2, "ranked", "table", limit=30, seen=[seen(passed=100, calls=0)])
    written = asking(number=3, phase="written", held=30)
    anew = estimate([judged, ranked, written], 100).phases[2].calls
    as_before = estimate([replace(judged, looked=Looked(50, 0, 0, 100)), ranked, written], 100).phases[2].calls
    assert 10 < anew.likely < 25 and as_before.likely < 1 < as_before.high


def test_where_some_answers_are_known_the_interval_is_wide() -> None:
    read = Plan(1, "read", "row", model="m", usd=PRICE, seen=[seen(calls=300)])
    some = estimate([replace(read, some_known=True)], 100).calls
    assert some.likely == pytest.approx(150) and some.high > 400 and some.low < 60


def test_earlier_runs_that_found_their_answers_there_count() -> None:
    found = estimate([asking(seen=[seen(calls=0, tokens_in=0, tokens_out=0), seen()])], 100)
    assert found.calls.likely == 50 and found.calls.low < 20 and found.tokens_in.likely == 500
