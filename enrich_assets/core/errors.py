"""The one exception tree. Every message says what was wrong, where, and what to do.

EnrichError
├── UserError              the request cannot be carried out as given; exit code 2
│   ├── SettingsError      a setting is unknown, of the wrong type, or carries a secret
│   ├── RunIdError         a run ID is malformed
│   ├── UnknownRun         no run has that ID or title
│   ├── UnknownPhase       the graph has no such phase
│   └── StorageError       the storage folder or the ledger cannot be used
├── ArtifactError          a stored artifact cannot be used
│   ├── ArtifactMissing
│   ├── ArtifactDamaged    its bytes do not match its own hashes
│   └── ArtifactRefused    it failed a blocking check
├── DeclarationError       a phase is declared or written wrongly; a defect of the phase, not of its data
├── PhaseFailed            a phase ended without publishing
│   └── BudgetReached      the next request could cost more than is left
├── Stopped                a phase was asked to stop, and did
└── CallError              one request to a model, a search service or a site did not succeed
    ├── TransientError     worth asking again later (429, 5xx, reset, time-out)
    ├── MalformedAnswer    an answer came and cannot be used; asked again with the reason
    ├── FinalError         asking again cannot help (refusal, 404, prompt too long)
    │   └── AddressRefused the address guard does not let the request leave
    └── EndpointError      every further request would fail too (wrong key, unknown model, quota)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class EnrichError(Exception):
    """Base of all errors of this package.

    `what` says what was wrong, `where` names the file, key, row or URL, `fix` what to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{where}{self.what}{fix}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(kind: type[EnrichError], state: dict[str, object]) -> EnrichError:
    error = kind.__new__(kind)
    Exception.__init__(error, state.get("what", ""))
    error.__dict__.update(state)
    return error


class UserError(EnrichError):
    """The request cannot be carried out as given; commands end with exit code 2."""

    exit_code = 2


class SettingsError(UserError):
    """A setting is unknown, of the wrong type, out of range, or carries a secret."""


class RunIdError(UserError):
    """A run ID is malformed."""


class UnknownRun(UserError):
    """No run has that ID or title."""


class UnknownPhase(UserError):
    """The graph has no phase of that name or number."""


class StorageError(UserError):
    """The storage folder or the ledger cannot be used."""


class ArtifactError(EnrichError):
    """A stored artifact cannot be used."""

    exit_code = 2


class ArtifactMissing(ArtifactError):
    """The phase has published nothing for this run."""


class ArtifactDamaged(ArtifactError):
    """The artifact's bytes do not match its own hashes, or cannot be read at all."""


class ArtifactRefused(ArtifactError):
    """The artifact failed a blocking check; nothing may be built on it."""


class DeclarationError(EnrichError):
    """A phase is declared or written wrongly."""


_DEFECTS = (NameError, AttributeError, TypeError, NotImplementedError, AssertionError)
_PACKAGE = f"{Path(__file__).parents[1]}/"


def is_own_defect(error: BaseException) -> bool:
    """Whether an error comes from the program and not from the row that it met: something cannot be imported, or this
    package's own code breaks. Each further row would meet it too, so it is never one row's failure."""
    if isinstance(error, ImportError):
        return True
    if not isinstance(error, _DEFECTS) or isinstance(error, EnrichError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE)


def defect_error(error: BaseException) -> DeclarationError:
    """The error that ends a phase which met a defect of the program."""
    where = ""
    trace = error.__traceback__
    while trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    lacking = isinstance(error, ImportError)
    return DeclarationError(
        f"the program cannot go on: {type(error).__name__}: {str(error)[:300]} ({where}). No row is at fault.",
        fix="Answers so far are kept. "
        + ("Install what is missing" if lacking else "Report it, or go back to the version before")
        + ", then resume the run.",
    )


class PhaseFailed(EnrichError):
    """A phase ended without publishing; what was paid for is in the ledger."""


class BudgetReached(PhaseFailed):
    """The next request could cost more than a budget leaves; a larger budget continues."""


class Stopped(EnrichError):
    """A phase was asked to stop by a signal, a person or Dagster, and did; answers so far are in the ledger.

    `is_pause`: a person asked the run to pause.
    """

    is_pause = False


class CallError(EnrichError):
    """One request to a model, a search service or a site did not succeed.

    `kind` is short and countable; a client may give a finer one than the class has. `tokens_in`, `tokens_out` and
    `cost` (USD, None where the price is unknown) are what the request cost all the same. `outcome_unknown`: it left,
    and nobody knows whether it was carried out; it may have to be paid.
    """

    kind = "call"
    tokens_in = 0
    tokens_out = 0
    cost: float | None = 0.0
    outcome_unknown = False

    def __init__(self, what: str, *, where: str = "", fix: str = "", kind: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.kind = kind or self.kind


class TransientError(CallError):
    """Worth asking again later; `retry_after` is the server's wish in seconds."""

    kind = "transient"

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", kind: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(what, where=where, fix=fix, kind=kind)
        self.retry_after = retry_after


class MalformedAnswer(CallError):
    """An answer came and cannot be used. The reason goes into the next prompt.

    `fallback`: what becomes of the row when no further answer is better, in place of its failure: a `Drop`, say.
    """

    kind = "malformed"

    def __init__(self, what: str, *, where: str = "", fix: str = "", kind: str = "", fallback: Any = None) -> None:
        super().__init__(what, where=where, fix=fix, kind=kind)
        self.fallback = fallback


class FinalError(CallError):
    """Asking again cannot help."""

    kind = "final"


class AddressRefused(FinalError):
    """The address guard does not let the request leave."""

    kind = "address_refused"


class EndpointError(CallError):
    """Every further request to this endpoint would fail too."""

    kind = "endpoint"
