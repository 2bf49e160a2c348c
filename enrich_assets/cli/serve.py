"""`enrich serve`: the viewer on a port of this machine. What it shows belongs to `service`."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from enrich_assets.cli.place import open_place
from enrich_assets.core.errors import UserError

_USUAL_PORT = 3100


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes 3100, or a free one if it is taken.")
    ] = 0,
) -> None:
    """Show all runs in a browser: tables, drops, evidence, figures, reports. Changes nothing. Ctrl-C ends it."""
    try:
        import uvicorn

        from enrich_assets.service.app import create_app
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "starlette", "uvicorn"):
            raise
        fix = "Install the extra: pip install 'enrich-assets[service]'."
        raise UserError(f"the viewer needs {error.name}, which is not installed.", fix=fix) from error
    from enrich_assets.core.files import is_local, local_path

    with open_place() as place:
        root = place.store.root
        if is_local(root) and not local_path(root).is_dir():
            # The ledger of a place that is not there would stay empty, whatever runs are made afterwards.
            raise UserError(
                "there is no run yet.", where=str(root), fix="Make one: enrich demo. Or set ENRICH_STORAGE."
            )
        with _listening(port) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            print(f"The viewer of {root} is at {url}. Ctrl-C ends it.", flush=True)
            config = uvicorn.Config(
                create_app(place.store, place.ledger),
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=3,
            )
            uvicorn.Server(config).run(sockets=[listening])


def _listening(port: int) -> socket.socket:
    """A socket on the port, or where none is named on the usual one, else on a free one; raises UserError."""
    for candidate in (port,) if port else (_USUAL_PORT, 0):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", candidate))
            # Two may bind a port that nobody listens on yet; only one may listen.
            listening.listen(128)
        except OSError as error:
            listening.close()
            if candidate == port:
                raise _refused(port, error) from error
        else:
            return listening
    raise UserError("no port of 127.0.0.1 is free.", fix="Name one with --port.")


def _refused(port: int, error: OSError) -> UserError:
    if isinstance(error, PermissionError):
        return UserError(f"port {port} may not be used by this account.", fix="Name one above 1023.")
    fix = "End what listens there (another enrich serve?), name another port, or leave --port out to take a free one."
    return UserError(f"port {port} of 127.0.0.1 is taken.", fix=fix)
