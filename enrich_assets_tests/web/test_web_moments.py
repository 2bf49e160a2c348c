"""Dates as feeds and pages write them: what is read, what is not, and how a feed's other dates decide."""

from datetime import UTC, datetime, timedelta

import pytest

from enrich_assets.web.dates import as_written
from enrich_assets.web.moments import as_moment, day_first_of

NOON = datetime(2026, 11, 30, 15, 7, 41, tzinfo=UTC)
DAY = datetime(2026, 11, 30, tzinfo=UTC)
MINUTE = NOON.replace(second=0)
READ = datetime(2026, 12, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(("text", "moment"), [
    ("2026/11/30 15:07:41", NOON),
    ("2026-11-30T15:07:41Z", NOON),
    ("20261130T150741Z", NOON),
    ("20261130150741", NOON),
    ("Mon, 30 Nov 2026 15:07:41 GMT", NOON),
    ("30 Nov 26 15:07 GMT", MINUTE),
    ("Mo, 30 Nov 2026 15:07:41", NOON),
    ("Montag, 30. November 2026, 15:07 Uhr", MINUTE),
    ("Ma, 30 Marras 2026 15:07:41 +0000", NOON),
    ("30. marraskuuta 2026 klo 15.07", MINUTE),
    ("lundi 30 novembre 2026 à 15h07", MINUTE),
    ("30 de noviembre de 2026", DAY),
    ("mar 30 Nov 2026", DAY),  # Tuesday in Spanish, and wrong: the numbers count
    ("понедельник, 30 ноября 2026 г. 15:07", MINUTE),
    ("30 พฤศจิกายน 2569", DAY),
    ("2026年11月30日(月) 15:07", MINUTE),
    ("2026年11月30日 15時07分41秒", NOON),
    ("2026년 11월 30일 월요일 오후 3:07", MINUTE),
    ("٣٠ نوفمبر ٢٠٢٦", DAY),
    ("Thu, 17 Sept 2026 10:00:00 +0200", datetime(2026, 9, 17, 8, tzinfo=UTC)),
    ("Mon, 30 Nov 2026 24:00:00 +0000", DAY + timedelta(days=1)),
    ("2026-11-30T24:00:00Z", DAY + timedelta(days=1)),
    ("1796051261", NOON),
    ("1796051261000", NOON),
    ("1796051261.0", NOON),
    ("30.11.2026 15:07", MINUTE),
    ("30. 11. 2026", DAY),
    ("11/30/2026 03:07:41 PM", NOON),
    ("11/30/2026 3:07 p.m.", MINUTE),
    ("30/11/2026 15:07", MINUTE),
    ("November 30th, 2026 at 3 pm", DAY + timedelta(hours=15)),
    ("2026-11-30 15:07:41 +0000 UTC", NOON),
    ("2026-11-30 16:07:41.999 +0100 CET m=+0.000012", NOON.replace(microsecond=999_000)),
    ("Mon Nov 30 16:07:41 CET 2026", NOON),
    ("Mon, 30 Nov 2026 17:07:41 CEST", NOON),
    ("Tue, 01 Dec 2026 01:07:41 AEST", NOON),
    ("Mon, 30 Nov 2026 20:37:41 +5:30", NOON),
    ("Mon, 30 Nov 2026 10:07:41 EST", NOON),
    ("Mon, 30 Nov 2026 16:07:41 GMT+0100 (Central European Time)", NOON),
    ("2026-11-30 16:07:41 Europe/Berlin", NOON),
])  # fmt: skip
def test_a_written_date_is_read(text, moment):
    assert as_moment(text) == moment


@pytest.mark.parametrize("text", [
    "", "to", "a", "may", "Monday", "2026", "15:07", "42", "2.5", "version 2.5.2026", "Item 5 of 30 November 2026",
    "0000-00-00 00:00:00", "Mon, 31 Nov 2026 10:00:00 GMT", "30 November", "25:00 30.11.2026", "1970-01-01",
    "9999-12-31",     "30 November 2026 " * 10, "13/13/2026", "10:00 30.11.2026 11:00", "-1796051261", "99999999999999",
])  # fmt: skip
def test_nothing_is_guessed_out_of_what_is_no_date(text):
    assert as_moment(text) is None


def test_the_language_decides_what_a_month_of_two_languages_means():
    assert as_moment("30 listopada 2026", language="pl") == DAY
    assert as_moment("30 listopada 2026", language="hr") == datetime(2026, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(("others", "day_first"), [
    (["31/05/2026"], True),
    (["05/31/2026"], False),
    (["Fri, 03 Apr 2026 10:00:00 GMT"], True),
    (["Wed, 04 Mar 2026 10:00:00 GMT"], False),
    (["11/12/2026"], False),  # the day first would be ahead of the reading
    ([], None),
])  # fmt: skip
def test_the_other_dates_of_a_feed_decide_what_is_the_day(others, day_first):
    assert day_first_of(["03/04/2026", *others], before=READ) is day_first


def test_a_date_that_leaves_day_and_month_open_has_the_day_first_unless_it_looks_american():
    assert as_moment("03/04/2026") == datetime(2026, 4, 3, tzinfo=UTC)
    assert as_moment("03/04/2026", language="en-us") == datetime(2026, 3, 4, tzinfo=UTC)
    assert as_moment("03/04/2026 1:00 PM") == datetime(2026, 3, 4, 13, tzinfo=UTC)
    assert as_moment("03.04.2026 1:00 PM") == datetime(2026, 4, 3, 13, tzinfo=UTC)


@pytest.mark.parametrize(("text", "moment"), [
    ("yesterday", READ - timedelta(days=1)),
    ("gestern", READ - timedelta(days=1)),
    ("vor 3 Stunden", READ - timedelta(hours=3)),
    ("31 October", datetime(2026, 10, 31, tzinfo=UTC)),
    ("31. Dezember", datetime(2025, 12, 31, tzinfo=UTC)),
    ("to", None),
    ("Page 3", None),
    ("2 min read", None),
    ("By Ada on Monday", None),
])  # fmt: skip
def test_a_date_of_a_page_may_count_from_when_it_was_fetched_and_is_no_guess(text, moment):
    assert as_written(text, READ) == moment
