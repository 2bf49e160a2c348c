"""The benchmarks that have to find something find it."""

from __future__ import annotations

import pytest

from benchmarks.biased_server import BiasedServer
from benchmarks.consistency import demo_rows, loopback_settings
from benchmarks.shuffled import Found, measure
from benchmarks.topics import bm25, judged, order_of, spearman


def measured(server: BiasedServer, *sizes: int, shuffles: int = 4) -> list[Found]:
    with server:
        settings = loopback_settings(server.base_url, threshold=5.0)
        return measure(demo_rows(24), settings, sizes=sizes, shuffles=shuffles)


def test_scores_that_depend_on_their_row_alone_show_no_spread() -> None:
    alone, together = measured(BiasedServer(), 1, 8, shuffles=2)
    for found in (alone, together):
        assert (found.spread, found.largest, found.changed, found.crossed, found.off_alone) == (0, 0, 0, 0, 0)
        assert (found.left_out, found.unusable, found.failed) == (0, 0, 0)
    assert (alone.calls, together.calls) == (1, 3 / 24)
    assert together.tokens_in < 0.75 * alone.tokens_in


def test_a_planted_bias_is_found_at_its_size_and_only_where_rows_travel_together() -> None:
    alone, together = measured(BiasedServer(bias=0.5), 1, 8)
    assert (alone.spread, alone.changed, alone.crossed) == (0, 0, 0)
    assert together.spread == pytest.approx(0.5, rel=0.15)
    assert together.changed == 1
    assert 0.05 < together.crossed < 0.6
    assert together.off_alone is not None and together.off_alone > 0.1


def test_a_bias_by_neighbours_is_found_too() -> None:
    assert measured(BiasedServer(bias=0.8, kind="neighbours"), 4)[0].spread == pytest.approx(0.8, rel=0.25)


def test_rows_without_a_usable_answer_are_counted_by_what_was_wrong() -> None:
    server = BiasedServer(lost=0.2)
    found = measured(server, 8)[0]
    assert server.left_out and server.unusable
    assert (found.left_out, found.unusable) == (server.left_out / 96, server.unusable / 96)
    assert found.failed == 0
    assert found.calls == pytest.approx((12 + server.left_out + server.unusable) / 96)


def test_an_order_is_worth_what_stands_first_and_equal_scores_count_for_no_order() -> None:
    relevant = [place < 20 for place in range(200)]
    best = order_of([float(-place) for place in range(200)], relevant)
    worst = order_of([float(place) for place in range(200)], relevant)
    equal = order_of([0.0] * 200, relevant)
    assert (best.precision, best.gain) == (1.0, pytest.approx(1.0))
    assert (worst.precision, worst.gain) == (0.0, 0.0)
    assert equal.precision == pytest.approx(0.1, abs=0.08)


def test_rank_correlation_is_of_ranks_with_ties() -> None:
    assert spearman([(1, 10), (2, 100), (3, 1000)]) == pytest.approx(1)
    assert spearman([(1, 3), (2, 2), (3, 1)]) == pytest.approx(-1)
    assert spearman([(1, 5), (2, 5), (3, 6)]) == pytest.approx(0.866, abs=0.001)


def test_bm25_finds_the_words_of_keywords_folded() -> None:
    texts = ["two furnaces melt iron", "a furnace and another furnace", "choirs sing at night"]
    scores = bm25([{"title": "", "text": text} for text in texts], ["furnace", "iron"])
    assert scores[0] > scores[1] > scores[2] == 0


def test_the_judgement_without_a_model_agrees_with_the_judged_articles() -> None:
    # 0.40 and 0.42 before relevance led; the points were given before the scores were looked at.
    found = judged()
    assert found["all"].correlation >= 0.6 and found["kept"].correlation >= 0.65
