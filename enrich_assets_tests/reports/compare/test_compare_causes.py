"""Every article that differs between two runs has the right cause, and no other."""

from __future__ import annotations

from typing import Any

from enrich_assets.reading import Run
from enrich_assets.reports.compare.comparison import compare
from enrich_assets.reports.compare.content import Comparison


def causes(found: Comparison) -> set[tuple[str, str]]:
    """Kind and phase of every cause of every article."""
    assert found.articles
    assert all(article.causes for article in found.articles)
    return {(cause.kind, cause.phase) for article in found.articles for cause in article.causes}


def differing(old: Run, new: Run, columns: tuple[str, ...] = ("rank", "final_score", "analysis", "url")) -> set[str]:
    """The articles of two runs that differ, from their tables alone."""
    tables = [run.table("validated").set_index("row_id") for run in (old, new)]
    rows = [{i: tuple(row[name] for name in columns) for i, row in table.iterrows()} for table in tables]
    return {row_id for row_id in {*rows[0], *rows[1]} if rows[0].get(row_id) != rows[1].get(row_id)}


def test_a_threshold_is_the_cause_of_what_went_and_of_what_moved_up(runs: Any, stricter: Run) -> None:
    found = compare(runs.first, stricter)
    assert causes(found) == {("settings", "tier2")}
    assert [(s.path, s.old, s.new) for s in found.settings] == [("tier2.threshold", "2.0", "6.0")]
    went = found.of("went")
    assert went and not found.of("came")
    for article in went:
        (cause,) = article.causes
        assert (article.first_phase, cause.detail) == ("tier2", "tier2.threshold: 2.0 → 6.0")
        assert article.told.startswith("kept → dropped: below threshold (") and not cause.through_others
    assert all(cause.through_others for article in found.of("moved") for cause in article.causes)
    assert {article.row_id for article in found.articles} >= differing(runs.first, stricter)
    assert not found.prompts and not found.models and not found.code


def test_a_prompt_is_the_cause_of_what_it_changed(runs: Any, reworded: Run) -> None:
    found = compare(runs.first, reworded)
    assert causes(found) == {("prompt", "tier2")}
    assert {article.row_id for article in found.articles} >= differing(runs.first, reworded)
    assert [(p.phase, p.file) for p in found.prompts] == [("tier2", "tier2_strict.md")]
    assert any("halve every relevance" in line for line in found.prompts[0].lines)
    assert not found.settings and not found.models and not found.code


def test_a_model_is_the_cause_of_what_it_scored_otherwise(runs: Any, kinder: Run) -> None:
    found = compare(runs.first, kinder)
    assert causes(found) == {("model", "tier3")}
    assert [(m.phase, m.old, m.new) for m in found.models] == [("tier3", "test", "kinder")]
    assert any(score.name == "impact" for article in found.articles for score in article.scores)


def test_code_is_the_cause_where_only_code_differs(runs: Any, recoded: Run) -> None:
    found = compare(runs.first, recoded)
    assert causes(found) == {("code", "ranked")}
    assert found.code == ["ranked"]


def test_a_page_is_the_cause_of_its_own_article_and_of_those_that_made_room(
    runs: Any, republished: tuple[Run, str]
) -> None:
    again, url = republished
    found = compare(runs.first, again)
    assert causes(found) == {("page", "scraped")}
    (own,) = [article for article in found.articles if article.url == url]
    assert own.first_phase == "scraped" and not own.causes[0].through_others
    assert own.causes[0].detail.startswith("the page changed (")
    assert all(a.causes[0].through_others for a in found.articles if a.url != url)


def test_an_article_that_its_source_does_not_list_any_more_went_because_of_the_page(runs: Any) -> None:
    row = runs.first.table("validated").iloc[0]
    feed = next(url for url, (_, body) in runs.press.documents.items() if f"<link>{row['url']}<".encode() in body)
    content_type, body = runs.press.documents[feed]
    items = [item for item in body.split(b"<item>") if f"<link>{row['url']}<".encode() not in item]
    runs.press.documents[feed] = (content_type, b"<item>".join(items))
    try:
        again = runs.another(like=False)
    finally:
        runs.press.documents[feed] = (content_type, body)
    found = compare(runs.first, again)
    assert causes(found) == {("page", "scraped")}
    (own,) = found.of("went")
    assert own.url == row["url"] and not own.causes[0].through_others
    assert own.causes[0].detail == f"{row['source_id']} did not list it in {again.run_id}"
    assert all(a.causes[0].through_others for a in found.articles if a is not own)


def test_a_source_that_is_left_out_is_a_cause_in_the_settings(runs: Any) -> None:
    sources = [source for source in runs.first.settings["sources"] if source["id"] != "evening"]
    found = compare(runs.first, runs.another(sources=sources))
    assert causes(found) == {("settings", "scraped")}
    assert {a.causes[0].detail for a in found.of("went")} == {"sources.evening: no longer read"}


def test_several_causes_are_all_named(runs: Any) -> None:
    found = compare(runs.first, runs.another(tier2__threshold=6, tier3__model="kinder"))
    assert causes(found) == {("settings", "tier2"), ("model", "tier3")}
    assert all({c.phase for c in a.causes} == {"tier2"} for a in found.of("went"))


def test_only_the_setting_that_decides_a_drop_reason_is_its_cause(runs: Any) -> None:
    again = runs.another(tier1__least_words=100_000, tier1__excluded_keywords=["nowhere"])
    found = compare(runs.first, again)
    assert {c.detail for a in found.of("went") for c in a.causes} == {"tier1.least_words: 120 → 100000"}


def test_two_equal_runs_have_nothing_to_tell(runs: Any) -> None:
    found = compare(runs.first, runs.another())
    assert not found.articles and found.unchanged == len(runs.first.table("validated"))
    assert not (found.settings or found.prompts or found.models or found.code)
    assert all(pair.same_data for pair in found.phases if pair.phase not in ("initialized", "report"))
    assert [pair.new.cost for pair in found.phases if pair.new] == [0] * 9
