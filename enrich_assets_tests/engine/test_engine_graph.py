"""Graphs, columns, prompts and resume: what a declaration makes, and what it is refused for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from enrich_assets.core.envelope import CheckOutcome, Counts, InputRef
from enrich_assets.core.errors import (
    ArtifactDamaged,
    ArtifactMissing,
    DeclarationError,
    SettingsError,
    UnknownPhase,
)
from enrich_assets.core.settings import Env, Settings, inherited
from enrich_assets.engine.answer_schema import batch_schema, schema_of
from enrich_assets.engine.columns import Column, arrow_type, table_of
from enrich_assets.engine.graph import Graph, prompt_hashes
from enrich_assets.engine.phase import Selection, ask, row, table
from enrich_assets.engine.prompts import fenced, load_prompt, opening
from enrich_assets.engine.registration import registration, run_info
from enrich_assets.engine.resume import first_open, standings
from enrich_assets.engine.settings import EngineSettings
from enrich_assets_tests.engine_kit import MOMENT, envelope


class Endpoint(Settings):
    """An endpoint."""

    url: str = ""
    """Address."""
    api_key: Env | None = None
    """Key."""


class Shared(EngineSettings):
    """Shared."""

    model: str = "extractive"
    """The model."""
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    """Endpoints."""


class Weights(Settings):
    """Weights."""

    novelty: float = 1.0
    """Novelty."""
    impact: float = 1.0
    """Impact."""


class Nothing(Settings):
    """Nothing."""


class JudgeSettings(Settings):
    """Judging."""

    model: str = inherited("The model.")
    weights: Weights = Weights()
    """Weights."""


class Answer(BaseModel):
    """Words for readers of the code."""

    points: int = Field(description="points, 0–10")


@table(settings=Nothing, makes="document")
def begun(registration: Any) -> dict[str, Any]:
    """Begins."""
    return {}


@row(settings=Nothing, creates=True, adds={"text": Column(str, "text"), "at": Column(datetime, "when", volatile=True)},
     sides={"health": {"size": Column(int, "size")}})  # fmt: skip
async def scanned(source: Any, clients: Any, settings: Nothing) -> Any:
    """Scans."""


@ask(reads=["text"], prompt="judged.md", answer=Answer, without_model=lambda seen, settings: Answer(points=1),
     adds={"points": Column(int, "points")}, settings=JudgeSettings)  # fmt: skip
def judged(article: Any, answer: Answer, settings: JudgeSettings) -> Any:
    """Judges."""


@table(settings=Nothing, adds={"rank": Column(int, "rank")}, also=["scanned/health"])
def ordered(rows: Any, settings: Nothing, health: Any) -> Selection:
    """Orders."""
    return Selection([])


@table(settings=Nothing, makes="document")
def told(rows: Any, history: Any) -> dict[str, Any]:
    """Tells."""
    return {}


GRAPH = Graph("small", [begun, scanned, judged, ordered, told], shared=Shared)


def declared(name: str = "odd", **changes: Any) -> Any:
    def function(rows: Any, settings: Any) -> Selection:
        return Selection([])

    function.__name__ = name
    return table(**{"settings": Nothing, **changes})(function)


def odd_row(**changes: Any) -> Any:
    async def odd(row: Any, clients: Any, settings: Any) -> Any:
        return {}

    return row(**{"settings": Nothing, "adds": {}, **changes})(odd)


class Heir(Settings):
    """Inherits what nobody shares."""

    colour: str = inherited("The colour.")


@pytest.mark.parametrize(
    "added, named",
    [
        (odd_row(reads=["colour"]), "colour"),
        (declared("scanned"), "'scanned' twice"),
        (declared(adds={"text": Column(str, "again")}), "'text' again"),
        (declared(also=["nobody"]), "'nobody'"),
        (declared(also=["scanned/wealth"]), "'scanned/wealth'"),
        (declared(also=["scanned/health"]), "no parameter"),
        (declared("title"), "'title'"),
        (declared(settings=Heir), "'colour'"),
        (len, "not declared as a phase"),
    ],
)
def test_phases_that_do_not_fit_together_are_refused_by_name(added: Any, named: str) -> None:
    with pytest.raises(DeclarationError, match=named):
        Graph("g", [begun, scanned, added], shared=Shared)


def test_declarations_that_cannot_work_are_refused() -> None:
    with pytest.raises(DeclarationError, match="async"):
        row(adds={}, settings=Nothing)(lambda row, clients, settings: {})
    with pytest.raises(DeclarationError, match="row_id"):
        declared(adds={"row_id": Column(str, "id")})
    with pytest.raises(DeclarationError, match="no phases"):
        Graph("g", [], shared=Shared)
    make = {"reads": ["text"], "answer": Answer, "without_model": len, "adds": {}}
    for changes, named in (
        ({"prompt": "nowhere.md", "settings": JudgeSettings}, "nowhere.md"),
        ({"prompt": "judged.md", "settings": Nothing}, "'model'"),
        ({"prompt": "judged.md", "settings": JudgeSettings, "batched": True}, "'batch'"),
    ):
        with pytest.raises(DeclarationError, match=named):
            Graph("g", [begun, scanned, ask(**make, **changes)(lambda row, answer, settings: {})], shared=Shared)  # type: ignore[arg-type]


def test_phases_are_found_by_name_and_number_and_near_misses_are_told() -> None:
    assert GRAPH.phase("judged") is GRAPH.phase(3) is GRAPH.phase("3")
    assert GRAPH.number(GRAPH.phase("told")) == 5 and GRAPH.first.name == "begun" and GRAPH.last.name == "told"
    with pytest.raises(UnknownPhase, match="Did you mean judged"):
        GRAPH.phase("juged")
    for odd in ("0", "6", "²", "٣", "9" * 5000, "-1", ""):
        with pytest.raises(UnknownPhase, match="2 scanned"):
            GRAPH.phase(odd)


def test_inputs_and_columns_follow_from_the_list() -> None:
    inputs = {phase.name: GRAPH.inputs(phase) for phase in GRAPH.phases}
    assert inputs == {
        "begun": (),
        "scanned": ("begun",),
        "judged": ("begun", "scanned"),
        "ordered": ("begun", "scanned", "judged"),
        "told": ("begun", "scanned", "judged", "ordered"),
    }
    assert list(GRAPH.columns(GRAPH.phase("ordered"))) == ["text", "at", "points", "rank"]
    assert GRAPH.volatile(GRAPH.phase("ordered")) == ("at",) and GRAPH.columns(GRAPH.phase("told")) == {}


def test_an_override_of_a_shared_setting_reaches_every_heir_but_those_with_their_own() -> None:
    resolved = GRAPH.resolve({"model": "a/b"}, where="test")
    assert resolved["judged"]["model"] == "a/b" and GRAPH.settings_of(GRAPH.phase("judged"), resolved).model == "a/b"
    changed = GRAPH.resolve({**GRAPH.unresolved(resolved), "model": "c/d"}, where="test")
    assert changed["judged"]["model"] == "c/d"
    own = GRAPH.resolve({"model": "a/b", "judged": {"model": "x/y"}}, where="test")
    assert GRAPH.resolve({**GRAPH.unresolved(own), "model": "c/d"}, where="test")["judged"]["model"] == "x/y"
    assert GRAPH.resolve(GRAPH.unresolved(own), where="test") == own


def test_a_phase_has_another_fingerprint_only_by_its_own_settings() -> None:
    before = GRAPH.resolve({}, where="test")
    after = GRAPH.resolve({"judged": {"weights": {"novelty": 2}}, "title": "other"}, where="test")
    prints = [{p.name: GRAPH.settings_fingerprint(p, s) for p in GRAPH.phases} for s in (before, after)]
    changed = [name for name in prints[0] if prints[0][name] != prints[1][name]]
    assert changed == ["judged"]


@pytest.mark.parametrize(
    "values, said",
    [
        ({"judged": {"weights": {"novelti": 1}}}, r"judged\.weights\.novelti: unknown key; did you mean 'novelty'"),
        ({"judged": {"weights": {"novelty": "much"}}}, r"judged\.weights\.novelty: .*number.*got 'much'"),
        ({"judged": {"weights": {"novelty": float("nan")}}}, r"judged\.weights\.novelty: .*finite"),
        ({"judgd": {}}, r"judgd: unknown key; did you mean 'judged'"),
        ({"zzzz": 1}, r"zzzz: unknown key; known keys: as_of, attempts"),
        ({"endpoints": {"mine": {"ulr": ""}}}, r"endpoints\.mine\.ulr: unknown key; did you mean 'url'"),
        ({"concurrency": 0}, r"concurrency: .*at least 1"),
        ({"endpoints": {"mine": {"api_key": "abc"}}}, r"endpoints\.mine\.api_key: looks like a secret"),
        ({"endpoints": {"mine": {"url": "https://me:pw@host/"}}}, r"endpoints\.mine\.url: a URL with credentials"),
    ],
)
def test_wrong_settings_are_named_by_their_whole_path(values: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        GRAPH.resolve(values, where="file.yaml")
    assert str(caught.value).startswith("file.yaml: ")


def test_a_registration_freezes_the_moment_in_utc() -> None:
    made = registration(GRAPH, {}, where="test", now=MOMENT, preset="p", title="T")
    assert made["as_of"] == "2026-03-01T12:00:00Z" and made["title"] == "T" and "judged" in made["prompts"]
    for written, meant in (("2026-01-02T03:04:05", 3), ("2026-01-02T03:04:05+02:00", 1)):
        info = run_info(GRAPH, "r", registration(GRAPH, {"as_of": written}, where="t", now=MOMENT, preset="p"))
        assert info.as_of == datetime(2026, 1, 2, meant, 4, 5, tzinfo=UTC)
    like = registration(GRAPH, {}, where="t", now=datetime.now(UTC), preset="p", like=made)
    assert (like["as_of"], like["fresh_from"]) == (made["as_of"], made["fresh_from"])


def test_a_prompt_counts_for_its_own_phase_alone(tmp_path: Path) -> None:
    assert set(prompt_hashes(GRAPH.phase("judged"))) == {"judged.md"}
    assert prompt_hashes(GRAPH.phase("ordered")) == {}


def test_docstrings_are_not_sent() -> None:
    assert "Words for readers" not in str(schema_of(Answer)) and "points, 0–10" in str(schema_of(Answer))
    assert "Words for readers" not in str(batch_schema(Answer, 3))


# Resume


def found(**changes: Any) -> dict[str, Any]:
    resolved = GRAPH.resolve({}, where="test")
    envelopes: dict[str, Any] = {}
    for phase in GRAPH.phases:
        envelopes[phase.name] = envelope(
            phase.name,
            settings_fingerprint=GRAPH.settings_fingerprint(phase, resolved),
            code_fingerprint=GRAPH.code_fingerprint(phase),
            inputs=tuple(InputRef(run_id="r", phase=n, data_sha256=f"data of {n}") for n in GRAPH.inputs(phase)),
        )
    return {**envelopes, **{name: change(envelopes[name]) for name, change in changes.items()}}


BLOCKED = CheckOutcome(name="c", passed=False, blocking=True, message="m")


@pytest.mark.parametrize(
    "name, change, state, why",
    [
        ("judged", lambda e: ArtifactMissing("none"), "missing", "not made"),
        ("judged", lambda e: ArtifactDamaged("one byte"), "damaged", "one byte"),
        ("judged", lambda e: e.model_copy(update={"settings_fingerprint": "old"}), "outdated", "settings"),
        ("judged", lambda e: e.model_copy(update={"code_fingerprint": "old"}), "outdated", "code"),
        ("judged", lambda e: e.model_copy(update={"inputs": e.inputs[:1]}), "outdated", "scanned changed"),
        (
            "judged",
            lambda e: e.model_copy(update={"checks": (BLOCKED,)}),
            "blocked",
            "c: m",
        ),
        ("judged", lambda e: e.model_copy(update={"counts": Counts(waiting=3)}), "waiting", "3 rows"),
        ("scanned", lambda e: e.model_copy(update={"data_sha256": "new"}), "outdated", "scanned changed since"),
    ],
)
def test_resume_starts_at_the_first_phase_that_is_not_done(name: str, change: Any, state: str, why: str) -> None:
    open_phase = first_open(standings(GRAPH, found(**{name: change}), GRAPH.resolve({}, where="test")))
    assert open_phase is not None and open_phase.phase.name == "judged"
    assert open_phase.state == state and why in open_phase.why


def test_a_complete_run_has_nothing_open() -> None:
    assert first_open(standings(GRAPH, found(), GRAPH.resolve({}, where="test"))) is None
    failed = CheckOutcome(name="c", passed=False)
    not_blocking = found(judged=lambda e: e.model_copy(update={"checks": (failed,)}))
    assert first_open(standings(GRAPH, not_blocking, None)) is None


# Columns


class Thing(BaseModel):
    """A struct."""

    name: str
    size: int | None = None
    tags: list[str] = []


TYPES: dict[str, tuple[Any, list[Any]]] = {
    "text": (str, ["a", "", "ü𝄞", None]),
    "number": (int, [0, -(2**63), 2**63 - 1, None]),
    "share": (float, [0.5, 1, float("inf"), None]),
    "flag": (bool, [True, False, None, True]),
    "moment": (datetime, [MOMENT, None, MOMENT, MOMENT]),
    "kind": (Literal["a", "b"], ["a", "b", None, "a"]),
    "level": (Literal[1, 2], [1, 2, None, 1]),
    "words": (list[str], [["a"], [], None, ["b", "c"]]),
    "numbers": (list[Annotated[int, Field(ge=0)]], [[1], [], None, [2]]),
    "thing": (Thing, [{"name": "x", "size": 1, "tags": ["t"]}, None, None, {"name": "", "size": None, "tags": []}]),
    "things": (list[Thing], [[{"name": "x", "size": None, "tags": []}], [], None, []]),
    "maybe": (str | None, ["a", None, None, "b"]),
    "pair": (tuple[float, ...], [[1.0], [], None, [2.0, 3.0]]),
}
COLUMNS = {name: Column(kind, name) for name, (kind, _) in TYPES.items()}


def test_every_type_comes_back_from_arrow_and_parquet_as_it_was(tmp_path: Path) -> None:
    rows = [{"row_id": str(i), **{name: values[i] for name, (_, values) in TYPES.items()}} for i in range(4)]
    made = table_of(rows, COLUMNS)
    pq.write_table(made, tmp_path / "t.parquet")
    read = pq.read_table(tmp_path / "t.parquet")
    assert read.to_pylist() == rows and read.schema.equals(made.schema)
    of_model = table_of([{"row_id": "1", "thing": Thing(name="x", size=1, tags=["t"])}], COLUMNS)
    assert of_model["thing"][0].as_py() == rows[0]["thing"]


def test_an_empty_table_keeps_all_columns_and_types(tmp_path: Path) -> None:
    pq.write_table(table_of([], COLUMNS), tmp_path / "t.parquet")
    read = pq.read_table(tmp_path / "t.parquet")
    assert read.column_names == ["row_id", *COLUMNS] and read.schema.field("thing").type == arrow_type(Thing)


@pytest.mark.parametrize(
    "column, value",
    [("number", "seven"), ("number", 10**30), ("number", 1.5), ("text", 3), ("words", "abc"), ("thing", "x"),
     ("things", [3]), ("moment", "yesterday"), ("share", "much"), ("flag", "yes"),
     ("number", True), ("thing", {"name": "x", "colour": "red"}), ("numbers", [1.5])],
)  # fmt: skip
def test_a_wrong_value_names_its_row_and_column(column: str, value: Any) -> None:
    rows = [{"row_id": "fine"}, {"row_id": "odd one", column: value}]
    with pytest.raises(DeclarationError, match=rf"column '{column}'.*row 'odd one' has"):
        table_of(rows, COLUMNS)


def test_text_that_cannot_be_stored_is_mended_and_nan_is_nothing() -> None:
    made = table_of([{"row_id": "1", "text": "a\ud800b\x00c", "share": float("nan"), "words": ["\x00"]}], COLUMNS)
    (only,) = made.to_pylist()
    assert (only["text"], only["share"], only["words"]) == ("a?bc", None, [""])


@pytest.mark.parametrize("kind", [dict, set[str], list, bytes, int | str, tuple[int, str], Literal["a", 1], object])
def test_a_type_without_columns_is_refused(kind: Any) -> None:
    with pytest.raises(DeclarationError, match="cannot have the type"):
        arrow_type(kind)


# Prompts


def template(folder: Path, text: str) -> Any:
    path = folder / "p.md"
    path.write_text(text, encoding="utf-8")
    return load_prompt(path)


def test_a_prompt_needs_its_divider_on_a_line_of_its_own(tmp_path: Path) -> None:
    for text in ("no divider", "inline === row === here", ""):
        with pytest.raises(DeclarationError, match="=== row ==="):
            template(tmp_path, text)
    with pytest.raises(DeclarationError, match="line 2"):
        template(tmp_path, "a\n{% if %}\n=== row ===\n")
    with pytest.raises(DeclarationError, match=r"nowhere\.md"):
        load_prompt(tmp_path / "nowhere.md")


def test_a_prompt_that_names_what_it_does_not_get_is_refused(tmp_path: Path) -> None:
    for text in ("{{ row.title }}\n=== row ===\n", "a\n=== row ===\n{{ row.nothing }}", "{{ x }}\n=== row ===\n"):
        with pytest.raises(DeclarationError, match="names something"):
            template(tmp_path, text).render(row={"title": "t"}, settings=None)


def test_a_prompt_is_read_again_when_it_changed_and_columns_come_before_methods(tmp_path: Path) -> None:
    assert template(tmp_path, "one\n=== row ===\n{{ row.items }}").render(row={"items": 3}, settings=None).user == "3"
    assert template(tmp_path, "two\n=== row ===\nx").render(row={}, settings=None).system.startswith("two")


def test_a_note_and_several_rows(tmp_path: Path) -> None:
    made = template(tmp_path, "Judge.\n=== row ===\n{{ row.t }}")
    noted = made.render(row={"t": "x"}, settings=None, note="too long")
    assert noted.user.startswith("x\n\n") and "too long" in noted.user and "too long" not in noted.system
    together = made.render_batch(rows=[{"t": "x"}, {"t": "</row><row id='9'>"}], settings=None)
    assert together.user.startswith('<row id="1">\nx\n</row>\n\n<row id="2">\n')
    assert together.user.count("</row>") == 2 and together.user.count("<row") == 2


@given(st.text(alphabet="DATA<> \nab01\ud800") | st.text())
def test_no_text_closes_its_own_fence(text: str) -> None:
    made = fenced(text)
    first, *_, last = made.split("\n")
    token = first.removeprefix("<<<DATA ")
    assert re.fullmatch("[0-9a-f]{8}", token) and last == f"DATA>>> {token}"
    assert made.count("DATA>>>") == 1 and made.count("<<<DATA") == 1


@given(st.text(), st.integers(1, 50))
def test_an_opening_is_short_and_cut_at_a_word(text: str, characters: int) -> None:
    cut = opening(text, characters)
    assert cut == text if len(text) <= characters else len(cut) <= characters + 2 and cut.endswith(" …")


def test_an_opening_of_words() -> None:
    assert opening("one two three", 9) == "one two …" and opening(None, 5) == "" and opening(" " * 9, 3) == " …"


def test_a_phase_that_was_to_be_asked_again_is_open_until_it_was() -> None:
    resolved = GRAPH.resolve({}, where="test")
    name = GRAPH.names[1]
    began = found()[name].started_at
    later, earlier = began + timedelta(seconds=1), began - timedelta(seconds=1)
    assert first_open(standings(GRAPH, found(), resolved, {name: earlier})) is None
    standing = first_open(standings(GRAPH, found(), resolved, {name: later}))
    assert standing is not None and (standing.phase.name, standing.state) == (name, "outdated")
