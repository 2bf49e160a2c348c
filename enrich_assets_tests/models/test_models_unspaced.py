"""The embedded model on texts in scripts without spaces, and on Korean."""

import json
from itertools import pairwise

import pytest

from enrich_assets.models.extractive import summary
from enrich_assets.models.text import cosine, keyword_hits, sentences, tfidf, words
from enrich_assets.web.duplicates import Sketches, sketch
from enrich_assets.web.search_index import snippet
from enrich_assets_tests.shared_data import shared_data


@pytest.mark.parametrize(("text", "keywords", "hits"), [
    ("港口公司订购了新的起重机，起重机很贵。", ["起重机", "机场"], {"起重机": 2}),
    ("港湾会社は新しいクレーンを注文した。", ["クレーン"], {"クレーン": 1}),
    ("新的AI技术和5G网络", ["AI", "5G"], {"AI": 1, "5G": 1}),
    ("ท่าเรือสั่งซื้อเครนใหม่", ["เครน"], {"เครน": 1}),
    ("부산항에서 크레인을 주문했다", ["크레인", "항에서"], {"크레인": 1}),
    ("supporters of the ports", ["port"], {"port": 1}),
])  # fmt: skip
def test_keywords_are_found_where_no_space_parts_them(text, keywords, hits):
    assert keyword_hits(text, keywords) == hits


@pytest.mark.parametrize("text", [
    "第一句话。第二句话！第三句话？", "一つ目の文。二つ目の文！三つ目の文？",
    "ប្រយោគទីមួយ។ប្រយោគទីពីរ។ប្រយោគទីបី។", "ပထမဝါကျ။ဒုတိယဝါကျ။တတိယဝါကျ။",
])  # fmt: skip
def test_sentences_end_with_the_marks_of_their_script(text):
    assert len(sentences(text)) == 3 and "".join(sentences(text)) == text


def test_thai_sentences_are_its_clauses():
    clause = "สภาเมืองมีมติเมื่อวันอังคารให้ปิดสะพานเก่าที่ใช้งานมาแปดสิบปี"
    found = sentences(" ".join([clause] * 8))
    assert len(found) == 4 and all(part == f"{clause} {clause}" for part in found)


def test_near_duplicates_are_found_without_spaces():
    text = (
        "港口公司订购了十二台新的集装箱起重机，第一台将于春天安装在东侧码头。"
        "港务局长表示，旧起重机自风暴以来已经维修多次。"
    )
    other = "工会对此表示怀疑，并要求保证北侧码头的全部岗位。工程师解释说，传感器每秒测量货物的摆动并修正吊具。"
    known = Sketches()
    known.add(sketch(text))
    assert known.closest(sketch(text.replace("春天", "夏天")), least=0.7) is not None
    assert known.closest(sketch(other), least=0.2) is None


def test_terms_of_chinese_texts_tell_what_they_share():
    assert words("新的起重机") == ["新的", "的起", "起重", "重机"]
    near = cosine(tfidf("港口订购起重机"), tfidf("新起重机运抵港口"))
    assert near > 0.3 > cosine(tfidf("港口订购起重机"), tfidf("天气明天转晴"))


def test_a_chinese_summary_has_its_length_and_stands_in_the_text_word_by_word():
    data = json.loads((shared_data("kb", "xquad") / "xquad.zh.json").read_text("utf-8"))["data"]
    texts = [paragraph["context"] for one in data for paragraph in one["paragraphs"]]
    for start in range(0, 40, 4):
        text = "\n".join(texts[start : start + 4])
        found = summary(text, lowest=500, highest=600)
        assert found is not None and 500 <= len(found) <= 600
        places = [text.find(sentence) for sentence in sentences(found)]
        assert all(place >= 0 for place in places) and all(a < b for a, b in pairwise(places))


def test_a_snippet_stands_around_its_term_where_no_space_is():
    text = "港" * 500 + "起重机" + "口" * 500
    assert "起重机" in snippet(text, ["起"]) and len(snippet(text, ["起"])) <= 240
