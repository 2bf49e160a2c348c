"""The read API: what notebooks see of a run, and what they are told when there is nothing to see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enrich_assets import Run, open_run, open_runs
from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, UnknownPhase, UnknownRun, UserError
from enrich_assets.store.store import Store
from enrich_assets_tests.stored_run import TITLE, unpack

PROJECT = Path(__file__).parents[1]
STORED = Path(__file__).parent / "fixtures" / "run_0_1"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One complete run of ten phases."""
    return laid_out(tmp_path_factory.mktemp("reading") / "data")


def laid_out(folder: Path) -> Path:
    unpack(STORED, folder)
    store = Store(folder)
    (run_id,) = store.runs("intelligence")
    store.mark_latest("intelligence", run_id)
    return folder


@pytest.fixture(scope="module")
def run(storage: Path) -> Run:
    return open_run("latest", storage=storage)


def test_a_run_is_opened_by_id_title_or_as_the_latest(storage: Path, run: Run) -> None:
    assert open_run(run.run_id, storage=storage).run_id == run.run_id
    assert open_run(TITLE, storage=storage).run_id == run.run_id
    assert [one.run_id for one in open_runs(storage=storage)] == [run.run_id]
    assert (run.title, run.is_complete, len(run.phases)) == (TITLE, True, 10)
    assert run.settings["title"] == TITLE


def test_tables_have_the_rows_that_their_envelope_counts(run: Run) -> None:
    for phase, envelope in run.envelopes():
        if phase in ("initialized", "report"):
            assert run.document(phase)
            continue
        counts = envelope.counts
        assert len(run.table(phase)) == run.arrow(phase).num_rows == counts.rows_out
        assert len(run.dropped(phase)) >= counts.dropped
        assert len(run.failed(phase)) >= counts.failed
    assert list(run.side("scraped", "sources")["status"]) == ["scraped"]


def test_the_catalog_has_every_file_of_the_envelopes_and_selects(run: Run) -> None:
    listed = run.artifacts()
    expected = {name for _, envelope in run.envelopes() for name in envelope.files}
    assert expected <= set(listed["name"]) and len(listed) == len(expected) + 10
    plots = run.artifacts(phase="tier2", kind="plot")
    assert len(plots) and set(plots["phase"]) == {"tier2"} and set(plots["kind"]) == {"plot"}
    assert run.file("reports/report.md").startswith(b"# ")
    assert len(run.file(plots["name"].iloc[0])) == plots["bytes"].iloc[0]


def test_the_catalog_does_without_a_manifest(storage: Path, run: Run, tmp_path: Path) -> None:
    laid_out(tmp_path / "data")
    other = open_run(storage=tmp_path / "data")
    (tmp_path / "data" / "intelligence" / run.run_id / "manifest.json").unlink()
    assert sorted(other.artifacts()["name"]) == sorted(run.artifacts()["name"])
    assert not (tmp_path / "data" / "intelligence" / run.run_id / "manifest.json").exists(), "reading writes nothing"


def test_earlier_versions_are_read(tmp_path: Path) -> None:
    from dataclasses import replace

    from enrich_assets.core.result import PhaseResult

    laid_out(tmp_path / "data")
    run = open_run(storage=tmp_path / "data")
    before, envelope = run.arrow("ranked"), run.envelope("ranked")
    dropped = run.store.side("intelligence", run.run_id, "ranked", "dropped")
    failed = run.store.side("intelligence", run.run_id, "ranked", "failed")
    result = PhaseResult(
        graph="intelligence", run_id=run.run_id, phase="ranked", number=envelope.number,
        started_at=envelope.started_at, duration_seconds=1.0, counts=envelope.counts, usage=envelope.usage,
        settings_fingerprint="s", code_fingerprint="c", dropped=dropped, failed=failed, table=before.slice(0, 0),
    )  # fmt: skip
    run.store.publish(replace(result, counts=envelope.counts.model_copy(update={"rows_out": 0})))
    (version,) = run.versions("ranked")
    assert version.artifact_id == envelope.artifact_id
    assert len(version.table()) == before.num_rows > len(run.table("ranked")) == 0


@pytest.mark.parametrize("reference", ["nope", "../x", "20990101_000000", ""])
def test_an_unknown_run_says_so(storage: Path, reference: str) -> None:
    with pytest.raises(UnknownRun, match="enrich runs lists the runs"):
        open_run(reference, storage=storage)


def test_an_empty_storage_has_no_latest_run(tmp_path: Path) -> None:
    with pytest.raises(UnknownRun, match="no run of intelligence is complete"):
        open_run(storage=tmp_path)
    assert open_runs(storage=tmp_path) == []


def test_what_is_asked_wrongly_is_told(run: Run) -> None:
    with pytest.raises(UnknownPhase, match=r"Phases: initialized, scraped"):
        run.table("teir1")
    with pytest.raises(UserError, match=r"\.document\('report'\)"):
        run.table("report")
    with pytest.raises(UserError, match=r"\.table\('tier1'\)"):
        run.document("tier1")
    with pytest.raises(UserError, match="Kinds: data, etl"):
        run.artifacts(kind="picture")
    with pytest.raises(ArtifactMissing, match="lists its files"):
        run.file("reports/nothing.md")


def test_a_damaged_artifact_is_never_read(tmp_path: Path) -> None:
    laid_out(tmp_path / "data")
    run = open_run(storage=tmp_path / "data")
    path = tmp_path / "data" / "intelligence" / run.run_id / "tier2.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactDamaged, match=r"tier2\.parquet"):
        run.table("tier2")


def test_an_archive_that_cannot_be_read_hides_no_other_run(tmp_path: Path) -> None:
    laid_out(tmp_path / "data")
    archive = tmp_path / "data" / "intelligence" / "archive"
    archive.mkdir()
    (archive / "20260102_030405.zip").write_bytes(b"cut short")
    damaged, whole = open_runs(storage=tmp_path / "data")
    assert len(whole.phases) == 10
    with pytest.raises(ArtifactDamaged, match=r"20260102_030405\.zip"):
        damaged.table("tier2")


def test_the_package_is_imported_without_what_the_read_api_needs() -> None:
    code = "import sys, enrich_assets; sys.exit(any(name in sys.modules for name in ('pyarrow', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_store_that_the_environment_names_is_read(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENRICH_STORAGE", str(storage))
    assert open_run().store.root == Store(storage).root


def test_the_notebook_runs(storage: Path, tmp_path: Path) -> None:
    import nbclient
    import nbformat

    notebook = nbformat.read(PROJECT / "docs" / "notebook.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    environment = {"ENRICH_STORAGE": str(storage), "IPYTHONDIR": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(cwd=str(tmp_path), env={**os.environ, **environment})
    printed = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert "relevance" in printed and "drop_reason" in printed
