"""The leases that this process holds, from a phase's beginning until its artifact is published or it failed.

An asset's body and its IO manager are two calls of Dagster's; the lease has to last over both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from enrich_assets.engine.leases import Lease
from enrich_assets.engine.ledger import Ledger

_held: dict[tuple[str, str], Lease] = {}


@contextmanager
def held_until_published(ledger: Ledger, run_id: str, phase: str) -> Iterator[Lease]:
    """Takes the lease of a phase; gives it back when the block raises, else at `release`. Raises LeaseTaken."""
    lease = ledger.lease_phase(run_id, phase)
    _held[run_id, phase] = lease
    try:
        yield lease
    except BaseException:
        release(run_id, phase)
        raise


def held(run_id: str, phase: str) -> Lease | None:
    """The lease of a phase that this process holds."""
    return _held.get((run_id, phase))


def confirm(run_id: str, phase: str) -> None:
    """Raises LeaseLost when another process took over this phase."""
    if (run_id, phase) in _held:
        _held[run_id, phase].check()


def release(run_id: str, phase: str) -> None:
    """Gives the lease back, if this process holds it."""
    lease = _held.pop((run_id, phase), None)
    if lease is not None:
        lease.release()
