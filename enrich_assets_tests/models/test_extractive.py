"""The embedded model: sentences, words, summaries, names and definitions of texts with known answers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich_assets.core.fingerprint import sha256
from enrich_assets.models import text as text_module
from enrich_assets.models.definitions import definition_sentence
from enrich_assets.models.extractive import summary
from enrich_assets.models.names import entities
from enrich_assets.models.text import IDF_SHA256, cosine, idf, keyword_hits, sentences, tfidf, words

DEMO = Path(__file__).resolve().parents[2] / "enrich_assets/graphs/intelligence/demo/articles"
REAL = Path(__file__).resolve().parents[3] / "shared/data/html/aeb/ground-truth.json"

ARTICLE = """Marlowe Castings opened its second foundry in Tilburg on Tuesday, eight months after the first plans.

The plant pours housings for pumps, and a learning controller from Brenner Analytics decides when each furnace runs.
"We stopped guessing," said Judith Kranz, head of operations at Marlowe. She wants the same for the older site.

Energy per tonne fell by 14 percent in the trial, which ran from March to August. The controller, Tessera-4, reads
prices every 15 minutes and keeps the metal warm when power is dear. Brenner Analytics is a maker of control software
based in Ghent. It licenses Tessera-4 to nine foundries, most of them in Belgium and the Netherlands.

Not everyone is pleased. The works council asks who answers for a frozen ladle at night, and Kranz has promised rules
before December. Marlowe expects to earn back the 2.1 million euros within three years."""


def article(name: str) -> str:
    found = next(DEMO.rglob(name))
    return found.read_text(encoding="utf-8").split("---", 2)[-1].strip()


def articles() -> dict[str, str]:
    return {path.name: article(path.name) for path in sorted(DEMO.rglob("*.md"))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith came. He left.", ["Dr. Smith came.", "He left."]),
        ("It cost 3.5 million. Fine.", ["It cost 3.5 million.", "Fine."]),
        ("J. R. Tolk wrote it. It sold.", ["J. R. Tolk wrote it.", "It sold."]),
        ('"Stop!" she said. "Why?" he asked.', ['"Stop!" she said.', '"Why?" he asked.']),
        ("He works at Acme Inc. The firm is old.", ["He works at Acme Inc.", "The firm is old."]),
        ("Acme Inc. Chairman Bo Li spoke.", ["Acme Inc.", "Chairman Bo Li spoke."]),
        ("In the U.S. Senate they voted. Then home.", ["In the U.S. Senate they voted.", "Then home."]),
        ("See No. 5 on page 3. Next.", ["See No. 5 on page 3.", "Next."]),
        ("On Nov. 14 it ended. All left.", ["On Nov. 14 it ended.", "All left."]),
        ("Tools, e.g. saws, help. Use them.", ["Tools, e.g. saws, help.", "Use them."]),
        ("(It was late.) They went.", ["(It was late.)", "They went."]),
        ("A heading\n\nThe text begins here.", ["A heading", "The text begins here."]),
        ("A line that is\nwrapped goes on. Yes.", ["A line that is\nwrapped goes on.", "Yes."]),
        ("“We won.” The crowd left.", ["“We won.”", "The crowd left."]),
        ("今日は雨です。明日は晴れ。", ["今日は雨です。", "明日は晴れ。"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abcDE .!?\n\"'()“”0123456789,…é\u00a0", max_size=300))
def test_every_sentence_is_a_verbatim_part_in_order_and_nothing_is_lost(text: str) -> None:
    position = 0
    for sentence in sentences(text):
        position = text.index(sentence, position) + len(sentence)
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_words_keep_hyphens_decimals_and_model_numbers() -> None:
    assert words("Kestrel-3 reads 3.5 million self-made Pages, it's said.") == [
        "kestrel-3", "reads", "3.5", "million", "self-made", "pages", "it's", "said",
    ]  # fmt: skip


def test_keywords_match_whole_words_plural_and_any_case() -> None:
    text = "Chips and a chip. The CHIP's price; chipmakers and micro chips. Machine-learning, machine  learning."
    assert keyword_hits(text, ["chip", "machine learning", "robot", "c++"]) == {"chip": 4, "machine learning": 2}


def test_keywords_fold_plurals_that_change_the_ending_and_hyphens() -> None:
    text = "Economies in crises: two start-ups, a startup and a start up. Boys, the economy's toys; economic, a studio."
    found = keyword_hits(text, ["economy", "crisis", "start-up", "boy", "study", "econom"])
    assert found == {"economy": 2, "crisis": 1, "start-up": 3, "boy": 1}
    assert keyword_hits("The MP's party. Two parties; many MPs, imps and partying.", ["mp", "party"]) == {
        "mp": 2, "party": 2,
    }  # fmt: skip
    assert keyword_hits("A dataset and data-sets, a data set.", ["data set", "- "]) == {"data set": 2}


def test_the_table_is_the_one_that_the_fingerprint_counts() -> None:
    assert sha256(Path(text_module.__file__).with_name("idf.json").read_bytes()) == IDF_SHA256


def test_common_words_weigh_less_than_rare_ones_and_unseen_ones_most() -> None:
    assert idf("python") < idf("accelerator") < idf("zyxomat")
    weights = tfidf("The furnace melts, the furnace pours.")
    assert weights.keys() == {"furnace", "melt", "pour"}
    assert weights["furnace"] == max(weights.values())
    assert sum(w * w for w in weights.values()) == pytest.approx(1)


def test_cosine_is_one_for_itself_and_zero_for_strangers() -> None:
    a, b = tfidf("A furnace melts iron."), tfidf("Choirs sing psalms.")
    assert cosine(a, a) == pytest.approx(1)
    assert cosine(a, b) == 0 == cosine(a, {})


def test_summary_is_whole_sentences_in_order_within_bounds() -> None:
    text = summary(ARTICLE, lowest=500, highest=600)
    assert text is not None
    assert 500 <= len(text) <= 600
    assert text.startswith("Marlowe Castings opened its second foundry")
    rest = text
    position = -1
    for sentence in sentences(ARTICLE):
        if rest.startswith(sentence):
            rest = rest[len(sentence) :].lstrip(" ")
            assert ARTICLE.index(sentence) > position
            position = ARTICLE.index(sentence)
    assert rest == ""
    assert text == summary(ARTICLE, lowest=500, highest=600)


def test_a_short_summary_takes_the_lead_and_a_query_moves_it() -> None:
    lead = summary(ARTICLE, lowest=80, highest=170)
    moved = summary(ARTICLE, lowest=80, highest=170, query="who answers for a frozen ladle, works council")
    assert lead is not None and lead.startswith("Marlowe Castings opened")
    assert moved is not None and "The works council asks" in moved


def test_summary_says_when_it_is_impossible() -> None:
    assert summary("Too short.", lowest=500, highest=600) is None
    assert summary(ARTICLE, lowest=600, highest=500) is None
    assert summary("", lowest=1, highest=10) is None


def test_summary_takes_one_of_two_equal_sentences() -> None:
    twice = "The furnace runs at night because power is cheap then. " * 2 + "Workers asked for rules before winter."
    text = summary(twice, lowest=60, highest=200)
    assert text is not None
    assert text.count("The furnace runs") == 1


def test_summaries_of_demo_articles_nearly_always_fit() -> None:
    # One article is a table on purpose: it has too little prose for anybody.
    prose = {name: text for name, text in articles().items() if "round-nine-table" not in name}
    long_enough = {name: text for name, text in prose.items() if len(text) >= 800}
    fitting = [name for name, text in long_enough.items() if summary(text, lowest=500, highest=600)]
    assert len(long_enough) >= 60
    assert len(fitting) / len(long_enough) >= 0.97


@pytest.mark.skipif(not REAL.exists(), reason="the shared evaluation data is absent")
def test_summaries_of_real_articles_nearly_always_fit() -> None:
    texts = [page["articleBody"] for page in json.loads(REAL.read_text(encoding="utf-8")).values()]
    long_enough = [text for text in texts if 800 <= len(text) <= 8000]
    fitting = [text for text in long_enough if summary(text, lowest=500, highest=600)]
    assert len(long_enough) >= 50
    assert len(fitting) / len(long_enough) >= 0.97


def test_names_come_with_their_kinds() -> None:
    found = {mention.name: mention.kind for mention in entities(ARTICLE, 10)}
    assert found["Marlowe Castings"] == "company"
    assert found["Brenner Analytics"] == "company"
    assert found["Judith Kranz"] == "person"
    assert found["Tessera-4"] == "product"
    assert found["Ghent"] == "place"
    assert not found.keys() & {"Kranz", "Marlowe", "Energy", "Tuesday", "December", "Not", "The"}


def test_a_capital_at_the_start_of_a_sentence_is_no_name_by_itself() -> None:
    assert entities("Yesterday rain fell. Workers went home. Nobody complained. Yet prices rose.", 5) == []


def test_titles_and_offices_are_not_part_of_a_name() -> None:
    text = "Dr. Lena Moor spoke first. Senate President Ola Brandt said nothing. Painter Gil Tarrow, 44, smiled."
    assert {m.name for m in entities(text, 5)} == {"Lena Moor", "Ola Brandt", "Gil Tarrow"}
    assert {m.kind for m in entities(text, 5)} == {"person"}


def test_the_limit_holds_and_the_same_text_gives_the_same_names() -> None:
    assert len(entities(ARTICLE, 3)) == 3
    assert entities(ARTICLE, 3) == entities(ARTICLE, 10)[:3]


@pytest.mark.parametrize(
    ("page", "name", "kind", "says"),
    [
        ("corvane-systems.md", "Corvane Systems", "company", "Corvane Systems is a maker of warehouse"),
        ("brightmoor-labs.md", "Brightmoor Labs", "company", "Brightmoor Labs is a developer"),
        ("nordhaven-institute.md", "Nordhaven Institute", "institution", "Nordhaven Institute is a"),
        ("mira-castellane.md", "Mira Castellane", "person", "Mira Castellane is the chief executive"),
        ("kestrel-3.md", "Kestrel-3", "product", "Kestrel-3 is a language model"),
        ("ledgerline.md", "Ledgerline", "product", "Ledgerline is a software product"),
    ],
)
def test_profiles_of_the_demo_define_their_subject(page: str, name: str, kind: str, says: str) -> None:
    text = article(page)
    assert {m.name: m.kind for m in entities(text, 8)}[name] == kind
    sentence = definition_sentence(name, text)
    assert sentence is not None
    assert says in sentence
    assert sentence in text


def test_a_definition_needs_more_than_a_mention() -> None:
    assert definition_sentence("Brenner Analytics", ARTICLE) == (
        "Brenner Analytics is a maker of control software\nbased in Ghent."
    )
    assert definition_sentence("Judith Kranz", ARTICLE) is not None
    assert definition_sentence("Marlowe Castings", ARTICLE) is None
    assert definition_sentence("Vantry", ARTICLE) is None
    assert definition_sentence("Perth", "After a week in Perth, the front door was hung. Perth, the day after.") is None
    assert definition_sentence("Analytics", "Brenner Analytics is a maker of software.") is None


@pytest.mark.parametrize(
    ("name", "sentence", "is_subject"),
    [
        ("Windows 11", "One of Microsoft's most infuriating changes to Windows 11 is the redesigned menu.", False),
        ("Tessera-4", "The furnace that runs on Tessera-4 is a step down from the old one.", False),
        ("Marlowe", "A judge decided while director Ana Marlowe was a member of the board.", False),
        ("Brenner Analytics", "In Ghent, Brenner Analytics is a maker of control software.", True),
        ("Brenner Analytics", "Kranz said that Brenner Analytics is a maker of control software.", True),
        ("Brenner Analytics", "Yet Brenner Analytics is a small maker of software.", True),
        ("Harbour Board", "Since 1910 – the Harbour Board is an owner of cranes – ships pay by weight.", True),
    ],
)
def test_what_a_sentence_says_of_its_subject_defines_no_other_name(name: str, sentence: str, is_subject: bool) -> None:
    assert definition_sentence(name, sentence) == (sentence if is_subject else None)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Norra", "This year Norra, a maker of pumps, has doubled its staff."),
        ("Norra", "The pumps come from Norra, the Dutch pump maker, which opened a plant."),
        ("Norra", "Two plants of the chip maker Norra stood still."),
        ("Norra", "Founded in Ghent in 1998, Norra is a supplier of control software."),
        ("Norra", "Norra makes pumps for ships and mines."),
        ("Norra", "Many watch it on streaming service Norra at night."),
        ("Jane Doe", "It was chief executive Jane Doe of Norra who signed."),
        ("Jane Doe", "Norra founder Jane Doe signed the contract."),
        ("Jane Doe", "Belgian Prime Minister Jane Doe signed the treaty."),
        ("Jane Doe", "Nobody asked, said Jane Doe, senior analyst at Norra."),
        ("Jane Doe", "Jane Doe, a writer and a teacher, said so."),
        ("Norra", "Norra ist ein Hersteller von Pumpen aus Gent."),
        ("Norra", "Die Pumpen liefert Norra, ein Hersteller aus Gent, seit Mai."),
        ("Norra", "Im Mai hat der Pumpenhersteller Norra ein Werk eröffnet."),
    ],
)
def test_a_definition_is_an_apposition_a_copula_an_office_or_a_kind(name: str, sentence: str) -> None:
    assert definition_sentence(name, sentence) == sentence


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Norra", "It left Norra, a day after the plant had opened."),
        ("Norra", "The group bought Norra, a move that surprised its rivals."),
        ("Norra", "Norra is an important addition to the group."),
        ("Norra", "Norra is one of the better ones, to be honest."),
        ("Norra", "Norra is the only reason to stay."),
        ("Monday", "The plant opened on Monday, a holiday in the valley."),
        ("Norra", "They visited Norra, a castle and a lake."),
        ("Norra", "They visited a castle, Norra, a lake and a mill."),
        ("Norra", "Norra makes its own case in court."),
        ("Norra", "Norra builds on what it has learnt."),
        ("Norra", "Norra offers 5 versions of its pump."),
        ("Jane", "The plan came from founder Jane Doe."),
        ("Norra", "The two founders left the company Norra had bought."),
        ("Norra", "Das kauft Norra, ein Schritt nach vorn."),
        ("Norra", "Norra, die im Mai begann, ist noch da."),
    ],
)
def test_a_clause_that_only_looks_like_a_definition_defines_nothing(name: str, sentence: str) -> None:
    assert definition_sentence(name, sentence) is None


def test_nobody_but_a_definition_describes_the_names_without_background() -> None:
    for text in articles().values():
        for name in ("Vantry Dynamics", "Jonas Elbaum", "Project Halcyon"):
            assert definition_sentence(name, text) is None


def test_strange_texts_do_no_harm() -> None:
    draw = random.Random(7)
    for _ in range(40):
        text = "".join(draw.choice("aB .,\n’'\"“(&-0é漢🙂\u200b") for _ in range(400))
        entities(text, 5)
        summary(text, lowest=50, highest=100)
        definition_sentence("aB(", text)
