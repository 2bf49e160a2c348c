"""Run IDs, hashes, settings, secrets and envelopes."""

from __future__ import annotations

import json
import pickle
import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from enrich_assets.core import fingerprint as fingerprints
from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import EnrichError, RunIdError, SettingsError, TransientError
from enrich_assets.core.fingerprint import canonical_json, code_fingerprint, fingerprint
from enrich_assets.core.run_id import run_id_at, valid_run_id
from enrich_assets.core.settings import Env, Settings, validated_settings
from enrich_assets.graphs.intelligence import INTELLIGENCE

MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


# Run IDs


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,101}\n?"))
def test_a_string_is_a_run_id_or_refused(text: str) -> None:
    try:
        assert valid_run_id(text) == text and re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", text, re.ASCII)
    except RunIdError as error:
        assert not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", text)
        assert str(error).isprintable() and len(str(error)) < 1000


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)), st.integers(0, 999))  # noqa: DTZ001
def test_every_moment_has_a_valid_run_id(moment: datetime, taken: int) -> None:
    assert valid_run_id(run_id_at(moment, taken=taken))


def test_a_run_id_is_in_utc_and_counts_on() -> None:
    there = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert [run_id_at(there, taken=n) for n in (0, 1, 2)] == [
        "20260131_093000", "20260131_093000-2", "20260131_093000-3"
    ]  # fmt: skip
    with pytest.raises(RunIdError):
        valid_run_id(None)  # type: ignore[arg-type]


# Hashes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_canonical_json_says_the_same_whatever_the_order(value: Any) -> None:
    written = canonical_json(value)
    assert json.loads(written) == value and canonical_json(json.loads(written)) == written
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(value.items()))) == written


def test_canonical_json_of_other_values() -> None:
    east = timezone(timedelta(hours=2))
    assert canonical_json(datetime(2026, 1, 1, 2, tzinfo=east)) == canonical_json(datetime(2026, 1, 1, tzinfo=UTC))
    assert canonical_json(datetime(2026, 1, 1)) == canonical_json(datetime(2026, 1, 1, tzinfo=UTC))  # noqa: DTZ001
    assert canonical_json(date(2026, 1, 1)) == b'"2026-01-01"'
    assert canonical_json({"b", "a", "c"}) == b'["a","b","c"]' and canonical_json({1, "a"})
    with pytest.raises(TypeError):
        canonical_json(object())


BEFORE = '''
"""Module."""
from enrich_assets.web import helper
LIMIT = 3
class A:
    """A."""
    x: int = 1
    """Of x."""
def work(row):
    """Works."""
    return row + LIMIT
'''


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package of its own with a phase and a deciding helper; gives the fingerprint of changed files."""
    (tmp_path / "web").mkdir()
    (tmp_path / "graphs").mkdir()
    (tmp_path / "core").mkdir()

    def measured(phase: str = BEFORE, helper: str = "def help(): return 1", below: str = "X = 1") -> str:
        (tmp_path / "graphs" / "phase.py").write_text(phase)
        (tmp_path / "web" / "helper.py").write_text(f"import enrich_assets.core.low\n{helper}")
        (tmp_path / "core" / "low.py").write_text(below)
        monkeypatch.setattr(fingerprints, "_PACKAGE", tmp_path)
        fingerprints._module.cache_clear()
        code_fingerprint.cache_clear()
        return code_fingerprint("enrich_assets.graphs.phase")

    yield measured
    fingerprints._module.cache_clear()
    code_fingerprint.cache_clear()


def test_comments_docstrings_and_formatting_change_no_fingerprint(house: Any) -> None:
    before = house()
    assert before == house(BEFORE.replace("LIMIT = 3", "LIMIT   =   (3)  # three\n\n"))
    assert before == house(BEFORE.replace('"""Works."""', '"""Works hard."""').replace('"""Of x."""', '"""Of y."""'))
    assert before == house(BEFORE.replace('"""Module."""', ""))
    assert before == house(below="X = 2"), "floors that carry rows decide nothing"


def test_a_constant_or_a_helper_changes_the_fingerprint(house: Any) -> None:
    prints = {house(), house(BEFORE.replace("LIMIT = 3", "LIMIT = 4")), house(helper="def help(): return 2")}
    prints.add(house(BEFORE.replace("row + LIMIT", "row - LIMIT")))
    assert len(prints) == 4


def test_a_constant_counts_although_another_module_has_the_same(house: Any, tmp_path: Path) -> None:
    phase = f"{BEFORE}\nfrom enrich_assets.web import other"
    (tmp_path / "web" / "other.py").write_text("LIMIT = 3")
    changed = phase.replace("LIMIT = 3", "LIMIT = 4")
    assert house(phase, helper="LIMIT = 4") != house(changed, helper="LIMIT = 4")


def test_code_that_is_only_moved_has_the_same_fingerprint(house: Any, tmp_path: Path) -> None:
    before = house(helper="def help(): return 1\nLEAST = 2")
    (tmp_path / "web" / "moved.py").write_text("import json\nLEAST = 2")
    assert house(f"{BEFORE}\nfrom enrich_assets.web.moved import LEAST") == before
    assert house(f"{BEFORE}\nfrom enrich_assets.web.moved import LEAST", helper="def help(): return 2") != before


def test_a_module_by_another_name_has_the_same_fingerprint(house: Any, tmp_path: Path) -> None:
    (tmp_path / "web" / "other.py").write_text("def help(): return 1")
    used = "from enrich_assets.web import {0}\n{1}\ndef more(): return {0}.help()"
    assert house(used.format("helper", BEFORE)) == house(used.format("other", BEFORE.replace("helper", "other")))
    assert house(used.format("helper", BEFORE)) != house(used.format("helper", BEFORE).replace(".help()", ".halt()"))


def test_every_room_that_decides_is_there() -> None:
    package = Path(fingerprints.__file__).parents[1]
    assert fingerprints._DECIDING == ("web", "models", "evidence", "graphs", "stats")
    assert all((package / room / "__init__.py").is_file() for room in fingerprints._DECIDING)


def test_modules_that_are_not_there_have_a_fingerprint_too() -> None:
    assert code_fingerprint("no.such.module") == code_fingerprint("json.no_such")
    assert code_fingerprint("enrich_assets.engine.graph") != code_fingerprint("enrich_assets.engine.runner")


# Settings


class Inner(Settings):
    """Inner."""

    url: str = ""
    """A URL."""
    token: Env | None = None
    """A secret."""
    urls: tuple[str, ...] = ()
    """URLs."""
    model: str = ""
    """A model."""


class Outer(Settings):
    """Outer."""

    inner: Inner = Inner()
    """Inner."""
    more: dict[str, Inner] = Field(default_factory=dict)
    """More."""
    items: tuple[Inner, ...] = ()
    """Items."""


def check(**values: Any) -> Outer:
    return validated_settings(Outer, values, where="here")


@pytest.mark.parametrize(
    "values, path",
    [
        ({"inner": {"token": "abc"}}, "inner.token"),
        ({"inner": {"token": ["abc"]}}, r"inner\.token\.0"),
        ({"more": {"a": {"token": "x"}}}, "more.a.token"),
        ({"items": [{}, {"url": "http://u:p@h/"}]}, r"items\.1\.url"),
        ({"inner": {"urls": ["http://h/", " https://u@h"]}}, r"inner\.urls\.1"),
        ({"inner": {"url": "//u:p@h/x"}}, "inner.url"),
        ({"inner": {"url": "https://h/feed?a=1&api_key=abcdef123"}}, "inner.url"),
        ({"inner": {"url": "https://h/feed?access_token=abcdef123"}}, "inner.url"),
        ({"inner": {"model": "sk-abcdefghijklmnopqrst"}}, "inner.model"),
        ({"inner": {"model": "use ghp_abcdefghijklmnopqrstu"}}, "inner.model"),
        ({"inner": {"model": "Bearer abcdefghijklmnopqrst"}}, "inner.model"),
        ({"apiKey": "x"}, "apiKey"),
        ({"x-api-key": "x"}, "x-api-key"),
        ({"inner": {"token": {"env": "sk-abcdefghijklmnopqrst"}}}, "inner.token.env"),
    ],
)
def test_secrets_are_refused_by_their_path_and_never_repeated(values: Any, path: str) -> None:
    with pytest.raises(SettingsError, match=rf"here: {path}: (looks like a secret|a URL with credentials)") as caught:
        check(**values)
    for secret in ("abcdef", "u:p@", "ghp_"):
        assert secret not in str(caught.value)


def test_what_only_looks_like_a_secret_is_fine() -> None:
    made = check(
        inner={
            "token": {"env": "MY_KEY"},
            "model": "org/tokenizer-token",
            "url": "https://h/@user/a?page=2&keyword=abcdefgh",
        },
        more={"token_model": {"url": "https://h/news/sk-hynix-begins-mass-production"}, "b": {"token": None}},
    )
    assert made.inner.token == Env(env="MY_KEY")
    assert check(inner={"urls": ["mail me@example.com", "a // b"]})


def test_a_secret_of_the_wrong_type_is_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"inner\.token") as caught:
        check(inner={"token": 123456789})
    assert "123456789" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"the model 'x' needs the environment variable MY_KEY"):
        Env(env="MY_KEY").read("the model 'x'")
    monkeypatch.setenv("MY_KEY", "v")
    assert Env(env="MY_KEY").read("x") == "v"


@given(JSON)
def test_the_scanner_takes_everything_and_raises_nothing_but_its_own_error(value: Any) -> None:
    try:
        check(inner=value, more={"a": value}, items=[value])
    except SettingsError as error:
        assert str(error)


@given(st.from_regex(r"[a-z0-9]{1,8}:[a-z0-9]{1,8}", fullmatch=True), st.integers(0, 3))
def test_credentials_are_found_at_any_depth(credentials: str, depth: int) -> None:
    value: Any = f"https://{credentials}@host.example/feed"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    with pytest.raises(SettingsError, match="credentials"):
        check(inner={"url": value})


# Envelopes and errors


def test_an_envelope_is_sealed_and_every_change_shows() -> None:
    sealed = Envelope(
        package_version="1", graph="g", run_id="r", phase="p", number=1, artifact_id="a", started_at=MOMENT,
        duration_seconds=0.1, settings_fingerprint="s", code_fingerprint="c", data_sha256="d", content_sha256="e",
    ).sealed()  # fmt: skip
    assert sealed.is_intact() and Envelope.model_validate_json(sealed.model_dump_json()).is_intact()
    assert not sealed.model_copy(update={"number": 2}).is_intact()


def test_errors_say_where_and_what_to_do_and_survive_a_process_boundary() -> None:
    error = TransientError("is down.", where="http://x", fix="Wait.", retry_after=3.0)
    error.cost = None
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "http://x: is down. Wait."
    assert (copy.retry_after, copy.cost, type(copy)) == (3.0, None, TransientError)
    assert isinstance(copy, EnrichError) and fingerprint({"a": 1}) == fingerprint({"a": 1})


@pytest.mark.parametrize("key", ["tier3.threshold", "concurrency", "compare_with", "sample"])
def test_yes_and_no_are_no_numbers(key: str) -> None:
    outer, _, inner = key.partition(".")
    for value in (True, False):
        with pytest.raises(SettingsError, match="should be a number"):
            INTELLIGENCE.resolve({outer: {inner: value} if inner else value}, where="here")
