"""How long a text is and what its pieces are, in scripts with spaces between words and without."""

from enrich_assets.core.scripts import grams, has_unspaced, is_unspaced, pieces, word_count


def test_where_spaces_part_words_they_alone_count():
    text = "The port, – of Velm – has 12 new cranes\nfrom 부산항에서"
    assert word_count(text) == len(text.split()) and not has_unspaced(text)
    assert pieces("The port of Velm: 12") == ["The", "port", "of", "Velm", "12"]


def test_characters_count_by_an_average_word_in_scripts_without_spaces():
    assert word_count("港口公司订购了十二台新的起重机。") == 8
    assert word_count("新しいクレーンが港に届いた。") == 7
    assert word_count("ท่าเรือสั่งซื้อเครนใหม่") == 5
    assert word_count("AI 港口") == 2


def test_pieces_are_characters_and_terms_are_overlapping_pairs():
    assert pieces("港口 AI技术") == ["港", "口", "AI", "技", "术"]
    assert grams("集装箱AI") == ["集装", "装箱", "AI"]
    assert grams("port") == ["port"]


def test_a_text_with_a_foreign_name_is_not_without_spaces():
    assert is_unspaced("港口公司订购了AI起重机") and not is_unspaced("The company 港口 has ordered twelve new cranes")
