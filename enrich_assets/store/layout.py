"""Where every file of a run stands, and how it is read there. Names are checked before they become a path.

Nothing is written here. A run that is archived is read through `store.archive`, by the same methods.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BufferedReader
from typing import ClassVar, Literal

from upath import UPath

from enrich_assets.core.errors import DeclarationError, RunIdError
from enrich_assets.core.files import is_local, local_path, names_in, opened_local
from enrich_assets.core.run_id import valid_run_id
from enrich_assets.store.artifacts import damaged, read_whole

ARTIFACT_SUFFIXES = (".parquet", ".json")
ARCHIVES = "archive"
"""The folder of a graph that holds the archived runs."""
RESERVED_RUN_IDS = ("latest", ARCHIVES)
"""The link to the newest run and the archives stand beside the runs."""
MANIFEST = "manifest.json"
RESERVED_PHASES = ("manifest",)
"""The manifest stands beside the artifacts."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")


def valid_name(value: str, what: str) -> str:
    """`value` if it can be the name of a graph, phase or side table; raises DeclarationError otherwise."""
    if not (is_phase_name(value) if what == "phase" else _NAME.fullmatch(value)):
        raise DeclarationError(
            f"{ascii(value)[:80]} cannot be the name of a {what}.",
            fix="A name begins with a letter and has letters, digits and '_' only.",
        )
    return value


def is_phase_name(value: str) -> bool:
    """Whether a phase can have that name."""
    return _NAME.fullmatch(value) is not None and value not in RESERVED_PHASES


def valid_file_name(value: str) -> str:
    """`value` if it can be a file's name without any folder; raises DeclarationError otherwise."""
    if not _FILE.fullmatch(value):
        raise DeclarationError(
            f"{ascii(value)[:80]} cannot be the name of a file.",
            fix="A file name has letters, digits, '.', '_' and '-' only, and begins with a letter or digit.",
        )
    return value


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run of one graph. `relative` names are what the envelope's `files` lists."""

    root: UPath
    graph: str
    run_id: str
    is_archived: ClassVar[bool] = False

    def __post_init__(self) -> None:
        valid_name(self.graph, "graph")
        if valid_run_id(self.run_id) in RESERVED_RUN_IDS:
            raise RunIdError(f"{self.run_id!r} is reserved.", fix="Choose another run ID, like 20260131_093000.")

    @property
    def path(self) -> UPath:
        """The run's folder."""
        return self.root / self.graph / self.run_id

    @property
    def manifest(self) -> UPath:
        """The catalog of the run's files."""
        return self.path / MANIFEST

    def artifact(self, phase: str, suffix: str) -> UPath:
        """The phase's artifact; `suffix` is .parquet or .json."""
        return self.path / f"{valid_name(phase, 'phase')}{suffix}"

    def versions(self, phase: str) -> UPath:
        """The folder of the phase's earlier artifacts and their side files."""
        return self.path / "versions" / valid_name(phase, "phase")

    def file(self, relative: str) -> UPath:
        """The file of a relative name that an envelope lists; raises DeclarationError if it leads elsewhere."""
        parts = relative.split("/")
        for part in parts:
            valid_file_name(part)
        return self.path.joinpath(*parts)

    def relative(self, path: UPath) -> str:
        """The name of something below the run's folder, as `file` takes it; '' for the folder itself."""
        base, name = self.path.path.rstrip("/"), path.path.rstrip("/")
        return "" if name == base else name.removeprefix(f"{base}/")

    def read(self, path: UPath) -> bytes:
        """The bytes of a file of the run; raises ArtifactMissing, ArtifactDamaged, StorageError."""
        return read_whole(path)

    def opened(self, path: UPath) -> BufferedReader | bytes:
        """A file of the run to be read in parts where that is possible, else its bytes; raises as `read` does."""
        if not is_local(path):
            return self.read(path)
        try:
            return opened_local(local_path(path))
        except OSError as error:
            raise damaged("it cannot be opened", str(path)) from error

    def names(self, path: UPath) -> list[str]:
        """Names of what stands directly in a folder of the run; none if it is missing. Raises StorageError."""
        return names_in(path)


def relative_name(area: Literal["etl", "eda", "reports"], phase: str, name: str) -> str:
    """Name of a side file below the run's folder: `etl/<phase>/<name>`, `eda/<phase>/<name>`, `reports/<name>`."""
    valid_name(phase, "phase")
    valid_file_name(name)
    return f"reports/{name}" if area == "reports" else f"{area}/{phase}/{name}"


def side_table_name(phase: str, name: str) -> str:
    """Relative name of a side table, `dropped` and `failed` included."""
    return relative_name("etl", phase, f"{valid_name(name, 'side table')}.parquet")
