"""`enrich limits`: which endpoints want no request for now, and for how long. From the ledger alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from enrich_assets.cli.output import clean, console, counted, duration, plain_table, write_json
from enrich_assets.cli.place import open_place
from enrich_assets.core.errors import UserError


def limits(
    lift: Annotated[
        str | None,
        typer.Option("--lift", metavar="ENDPOINT", help="End the rest of endpoints whose name holds this; or 'all'."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the endpoints that asked for a rest (429 with a wait), for all processes that share the ledger.

    A rest ends by itself. Lift it where you know better, such as after you bought a higher limit; phases that begin
    from then on send again.
    """
    with open_place(to_execute=lift is not None, needs_room=False) as place:
        rests = place.ledger.rests()
        if lift is not None:
            chosen = [rest.endpoint for rest in rests if lift in ("all", rest.endpoint) or lift in rest.endpoint]
            if rests and not chosen:
                raise UserError(
                    f"no endpoint that rests is named {clean(lift)[:80]!r}.", fix="enrich limits lists them."
                )
            place.ledger.lift_rests(chosen)
            print(f"Lifted: {counted(len(chosen), 'rest')}." if chosen else "No endpoint rests.")
            return
    now = datetime.now(UTC)
    if as_json:
        write_json(
            [
                {"endpoint": rest.endpoint, "seconds": rest.seconds, "until": now + timedelta(seconds=rest.seconds)}
                for rest in rests
            ]
        )
        return
    if not rests:
        print("No endpoint rests.")
        return
    table = plain_table("endpoint", "rests for", "until (UTC)", right=("rests for",))
    for rest in rests:
        until = now + timedelta(seconds=rest.seconds)
        table.add_row(clean(rest.endpoint), duration(rest.seconds), f"{until:%H:%M:%S}")
    console().print(table)
