"""The viewer as an application: its pages, its two static files, what it says when something is not there.

Serving it on a port belongs to `cli.serve`.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from enrich_assets.core.errors import (
    ArtifactDamaged,
    ArtifactMissing,
    DeclarationError,
    EnrichError,
    RunIdError,
    StorageError,
    UnknownPhase,
    UnknownRun,
    UserError,
)
from enrich_assets.engine.ledger import Ledger
from enrich_assets.service.guard import Guard
from enrich_assets.service.pages import article, compare, files, phase, run, runs, table
from enrich_assets.service.viewer import Viewer, viewer_of
from enrich_assets.store.store import Store

_STATIC = Path(__file__).parent / "static"
_KINDS = {
    "viewer.css": "text/css; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_STATUS = (
    ((UnknownRun, UnknownPhase, RunIdError, ArtifactMissing), HTTPStatus.NOT_FOUND),
    ((ArtifactDamaged, StorageError), HTTPStatus.INTERNAL_SERVER_ERROR),
    ((UserError, DeclarationError), HTTPStatus.BAD_REQUEST),
)


def create_app(store: Store, ledger: Ledger) -> FastAPI:
    """The viewer over a storage and its ledger, which stay open as long as it is served."""
    app = FastAPI(title="enrich", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.viewer = Viewer(store, ledger)
    app.add_middleware(Guard)
    # `files` takes every address below a run that is no page.
    app.add_api_route("/static/{name}", _static)
    for page in (runs, compare, run, phase, table, article, files):
        app.include_router(page.router)
    app.add_exception_handler(EnrichError, _not_shown)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _no_page)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _static(request: Request, name: str) -> Response:
    if name not in _KINDS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if name == "viewer.css":
        shared = viewer_of(request).templates.get_template("_styles.css.j2").render()
        text = f"{shared}\n{(_STATIC / name).read_text(encoding='utf-8')}"
    else:
        text = (_STATIC / name).read_text(encoding="utf-8")
    return Response(text, media_type=_KINDS[name], headers={"cache-control": "max-age=300"})


def _not_shown(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, EnrichError)
    status = next((s for kinds, s in _STATUS if isinstance(error, kinds)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return _error(request, status, error.what, error.where, error.fix)


def _not_understood(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, RequestValidationError)
    wrong = ", ".join(str(one["loc"][-1]) for one in error.errors())
    return _error(
        request,
        HTTPStatus.BAD_REQUEST,
        f"the address is not understood: {wrong}.",
        "",
        "Go back, or begin at the runs.",
    )


def _no_page(request: Request, error: Exception) -> HTMLResponse:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    return _error(request, status, "there is no such page.", request.url.path, "Begin at the list of runs.")


# The server itself writes the trace to its log.
def _unexpected(request: Request, error: Exception) -> HTMLResponse:
    what = f"this page could not be made: {type(error).__name__}."
    return _error(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, what, "", "The terminal of `enrich serve` has the details."
    )


def _error(request: Request, status: int, what: str, where: str, fix: str) -> HTMLResponse:
    return viewer_of(request).page("error.html.j2", status=status, code=int(status), what=what, where=where, fix=fix)
