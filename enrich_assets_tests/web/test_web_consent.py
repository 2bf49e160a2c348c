"""Consent dialogues in place of articles and before them, and articles that pages carry as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from enrich_assets.engine.clients import Page
from enrich_assets.web.consent import is_consent
from enrich_assets.web.extract import CONSENT, extract

ENGLISH = (
    "<p>We value your privacy. We and our 120 partners store information on your device, such as cookies, and process "
    "personal data to show you ads.</p><p>You may accept or refuse, and change your settings at any time in our "
    "privacy policy. Some of our vendors rely on legitimate interest, to which you can object.</p>"
)
GERMAN = (
    "<p>Wir und unsere 98 Partner speichern Informationen auf Ihrem Gerät, etwa Cookies, und verarbeiten Ihre "
    "personenbezogenen Daten für Werbung.</p><p>Sie können zustimmen oder ablehnen und Ihre Einstellungen jederzeit in "
    "unserer Datenschutzerklärung ändern; Ihre Einwilligung ist freiwillig.</p>"
)
ABOUT_PRIVACY = (
    "The regulator fined the company for setting cookies without consent. Its partners received personal data of "
    "millions of users, who could not withdraw it, the privacy authority said on Monday. Critics say that advertising "
    "firms refuse to change, that browsers have other settings, and that the interests of third parties weigh more."
)
STORY = "".join(
    f"<p>The harbour of town {n} has bought crane number {n}, which lifts {n}0 tonnes and came by sea from the works "
    f"where it was built. The mayor said that the old one had been repaired {n} times since the storm.</p>"
    for n in range(2, 8)
)
PLAIN = STORY.replace("<p>", "").replace("</p>", "\n")


def read(body, head=""):
    source = f"<!doctype html><html><head><title>A title</title>{head}</head><body>{body}</body></html>"
    url = "http://site.example/a"
    return extract(
        Page(url, url, 200, "text/html", "utf-8", source.encode(), "", datetime(2026, 1, 1, tzinfo=UTC), "http")
    )


@pytest.mark.parametrize("text", [ENGLISH, GERMAN])
def test_a_dialogue_is_told_from_an_article_about_privacy(text):
    assert is_consent(text) and not is_consent(ABOUT_PRIVACY) and not is_consent(STORY)


@pytest.mark.parametrize("dialogue", [ENGLISH, GERMAN])
def test_a_page_that_shows_only_a_dialogue_has_no_text(dialogue):
    found = read(f"<div role='dialog'><h1>Before you continue</h1>{dialogue}<button>OK</button></div>")
    assert (found.text, found.method) == ("", CONSENT)


@pytest.mark.parametrize("dialogue", [ENGLISH, GERMAN])
@pytest.mark.parametrize("tag", ["aside", "div", "main"])
def test_the_article_beside_a_dialogue_is_read(dialogue, tag):
    found = read(f"<div class='banner'>{dialogue * 4}</div><div><{tag} class='x'><h1>A title</h1>{STORY}</{tag}></div>")
    assert "crane number 7" in found.text and not is_consent(found.text) and "Cookies" not in found.text


@pytest.mark.parametrize("dialogue", ["", ENGLISH])
@pytest.mark.parametrize(
    "head",
    [
        f"<script type='application/ld+json'>{json.dumps({'@type': 'NewsArticle', 'articleBody': PLAIN})}</script>",
        f"<script id='__NEXT_DATA__' type='application/json'>{json.dumps({'props': {'a': {'body': PLAIN}}})}</script>",
        "<script id='__NEXT_DATA__' type='application/json'>"
        + json.dumps({"props": {"parts": [{"type": "p", "text": line} for line in PLAIN.split("\n")]}})
        + "</script>",
    ],
    ids=["json-ld", "next-data", "next-data in parts"],
)
def test_an_article_that_is_only_data_is_read(head, dialogue):
    found = read(f"<div id='__next'></div>{dialogue}", head)
    assert "crane number 2" in found.text and "crane number 7" in found.text and "cookies" not in found.text


@pytest.mark.parametrize("data", ["", "{", "[" * 2000, json.dumps({"a": "short"}), json.dumps([1, None, {"b": [2]}])])
def test_data_without_an_article_gives_none(data):
    assert read("<p>Short.</p>", f"<script id='__NEXT_DATA__'>{data}</script>").text in ("Short.", "")
