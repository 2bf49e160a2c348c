"""Runs over articles in Chinese and in Japanese, which put no space between words: they are reported like others."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.store.store import Store
from enrich_assets_tests.cli.small_runs import feed_of, settings_file

CHINESE = (
    "{place}港口公司本周宣布，已经订购{number}台新的集装箱起重机，第一台将在明年春天运到东侧码头。",
    "港务局长在记者会上说，旧的起重机建于上个世纪，每次风暴之后都要停下来修理很久。",
    "根据码头公布的数字，货船现在平均要在锚地等待{number}个小时，比去年夏天少了大约三分之一。",
    "新的设备由电力驱动，工程师说一台机器每年可以节省{number}万升柴油，噪音也会小得多。",
    "工会代表对此表示担心，他们要求公司在合同里写明，北侧码头的工人不会因为自动化失去岗位。",
    "{place}的居民委员会收集了签名，希望夜间的装卸作业在十点以前结束，并且修建一道隔音墙。",
    "市议会下个月将讨论铁路支线的方案，每天会有{number}列火车把粮食和钢材直接送到船边。",
    "大学的研究小组用三年时间测量了水流，他们认为加深航道不会影响附近的渔场和湿地。",
    "保险公司则提醒说，无人驾驶的运输车辆一旦发生事故，责任应该由谁承担还没有明确的规定。",
)
JAPANESE = (
    "{place}の港湾会社は今週、新しいコンテナクレーンを{number}台注文し、最初の一台が来年の春に東の埠頭に届くと発表した。",
    "港長は記者会見で、古いクレーンは前の世紀に造られ、嵐のたびに長い修理が必要だったと説明した。",
    "埠頭が公表した数字によると、貨物船は沖合で平均{number}時間待っており、昨年の夏よりも三割ほど短くなった。",
    "新しい機械は電気で動き、技術者は一台で毎年{number}万リットルの軽油を節約でき、騒音もかなり小さくなると話す。",
    "労働組合は心配しており、自動化によって北側の埠頭の仕事が失われないことを契約に書くよう会社に求めている。",
    "{place}の住民は署名を集め、夜の荷役作業を十時までに終えることと、防音壁を建てることを市に要望した。",
    "市議会は来月、鉄道の支線の計画を審議し、毎日{number}本の列車が穀物と鋼材を船のそばまで運ぶことになる。",
    "大学の研究班は三年かけて潮の流れを測り、航路を深くしても近くの漁場や湿地には影響しないと結論づけた。",
    "保険会社は、無人の車両が事故を起こしたときに誰が責任を負うのか、まだはっきりした決まりがないと注意を促す。",
)
PLACES = {
    "zh": ("青山", "白沙", "临江", "东湾", "南屿", "北岸", "金浦", "长滩", "石门", "海宁"),
    "ja": ("青森", "白浜", "清水", "東浦", "南島", "北浜", "金沢", "長崎", "石巻", "海老江"),
}
KEYWORDS = {"zh": ["港口", "码头", "起重机"], "ja": ["港湾", "埠頭", "クレーン"]}
TITLES = {"zh": "{place}港口订购新的起重机", "ja": "{place}の埠頭に新しいクレーン"}


def items(language: str) -> list[dict[str, Any]]:
    """Ten items whose sentences are in another order and speak of another place each."""
    sentences = {"zh": CHINESE, "ja": JAPANESE}[language]
    found = []
    for number, place in enumerate(PLACES[language]):
        own = [s.format(place=place, number=number + 3) for s in (*sentences[number:], *sentences[:number])]
        found.append(
            {
                "id": f"{language}{number}",
                "url": f"/{language}/{number}",
                "title": TITLES[language].format(place=place),
                "content_text": "\n\n".join("".join(own[n : n + 3]) for n in range(0, len(own), 3)),
                "date_published": f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT08:00:00Z}",
            }
        )
    return found


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_ten_articles_are_all_reported(
    language: str, empty_place: Any, call: Callable[..., Any], tmp_path: Path
) -> None:
    ports = {"id": "ports", "name": "Ports", "description": "How ports work.", "keywords": KEYWORDS[language]}
    # Texts made from one set of sentences are near-duplicates; a cap of one source is not the subject here.
    own = {"language": language, "tier1": {"near_duplicate": 1.0}, "ranked": {"per_source": 10, "per_category": 10}}
    with feed_of(items(language)) as server:
        settings = settings_file(tmp_path, server, categories=[ports], **own)
        done = empty_place.enrich("run", "--settings", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(call(empty_place, "show", "latest", "--json").stdout)
    made = {phase["phase"]: phase["counts"]["rows_out"] for phase in shown["phases"][1:]}
    assert set(made.values()) == {10} and len(made) == 9, done.stdout
    rows = Store(empty_place.storage).load("intelligence", shown["run_id"], "validated").table.to_pylist()
    texts = {item["title"]: item["content_text"] for item in items(language)}
    assert all(250 <= len(row["analysis"]) <= 600 for row in rows)
    assert all(all(s in texts[row["title"]] for s in row["analysis"].split("。")) for row in rows)
