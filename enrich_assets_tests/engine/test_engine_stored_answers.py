"""Answers of the ledger as a whole: the newest of a request, walking through them, taking some out for good."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets_tests.engine_kit import MOMENT

CANARY = "a sentence that must not stay"


def keep(ledger: Ledger, kind: str = "page", number: int = 0, minute: int = 0, final: str | None = None) -> None:
    reply = Reply({"minute": minute, "text": f"{CANARY} {number}"}, made_at=MOMENT + timedelta(minutes=minute))
    request = Request(kind, {"number": number})  # type: ignore[arg-type]
    asyncio.run(ledger.keep_answer(request, Stored(reply, final=final), run_id="r", phase="p", row_id=str(number)))


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_the_newest_answer_counts_however_old_it_is_and_errors_do_not(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        for minute in (1, 3, 2):
            keep(ledger, minute=minute)
        keep(ledger, minute=4, final="404")
        keep(ledger, number=1, final="404")
        newest = ledger.newest_answer(Request("page", {"number": 0}).hash)
        assert newest is not None and newest.reply.content["minute"] == 3
        assert ledger.newest_answer(Request("page", {"number": 1}).hash) is None


def test_every_answer_of_a_kind_is_given_once(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        for number in range(3):
            keep(ledger, number=number)
        keep(ledger, kind="model", final="refused")
        assert [(a.row_id, a.run_id, a.phase, a.final) for a in ledger.answers("page")] == [
            (str(number), "r", "p", "") for number in range(3)
        ]
        assert [a.final for a in ledger.answers("model")] == ["refused"]


def test_what_was_removed_or_replaced_stands_nowhere_in_the_files(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        for number in range(40):
            keep(ledger, number=number)
        ledger.claim_run("g", {"title": CANARY}, run_id="one")
        assert CANARY.encode() in bytes_of(tmp_path)
        found = list(ledger.answers("page"))
        ledger.remove_answers([answer.id for answer in found[:-1]])
        ledger.replace_answer(found[-1].id, {"text": "nothing"})
        ledger.replace_registration("one", {"title": "kept", "earlier": []})
        ledger.truncate_log()
        assert [answer.content for answer in ledger.answers("page")] == [{"text": "nothing"}]
        assert ledger.registration("one") == {"title": "kept", "earlier": []}
        assert ledger.problems() == []
        # The list of runs keeps the title that a person gave; it is no part of any page.
        assert CANARY.encode() + b" " not in bytes_of(tmp_path)
