"""The entry point of `enrich`: its commands, its errors and its exit codes.

0 done · 1 a run failed, or the program did · 2 a bad request, or damaged files · 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from enrich_assets.cli import (
    budget,
    check,
    compare,
    estimate,
    forget,
    keep,
    limits,
    pause,
    presets,
    report,
    run,
    runs,
    serve,
    show,
    sources,
    ui,
    watch,
)
from enrich_assets.cli.output import SHOW_WHERE, is_debugging, unexpected, write_error
from enrich_assets.core.errors import EnrichError


class Commands(TyperGroup):
    """The group of all commands; what goes wrong in one of them ends here as a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Invokes a command; raises typer.Exit with the code of what went wrong."""
        try:
            return super().invoke(ctx)
        except EnrichError as error:
            write_error(error)
            if is_debugging():
                raise
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "exit_code") or is_debugging():  # the first are the command line's own
                raise
            print(f"Error: {unexpected(error)}\n{SHOW_WHERE}", file=sys.stderr)
            raise typer.Exit(1) from None


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from enrich_assets import __version__

        print(f"enrich_assets {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def enrich(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an unexpected error happened.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Feeds, sites and tables become ranked, enriched, cited reports.

    RUN is an ID, a title, 'latest' or 'latest:SERIES'; PHASE a name or a number.
    """
    if debug:
        os.environ["ENRICH_DEBUG"] = "1"


app.command("demo")(run.demo)
app.command("run")(run.run)
app.command("estimate")(estimate.estimate)
app.command("resume")(run.resume)
app.command("runs")(runs.runs)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("watch")(watch.watch)
app.command("pause")(pause.pause)
app.command("budget")(budget.budget)
app.command("limits")(limits.limits)
app.command("check")(check.check)
app.command("forget")(forget.forget)
app.command("keep")(keep.keep)
app.add_typer(sources.app, name="sources")
app.command("serve")(serve.serve)
app.command("ui")(ui.ui)
app.command("presets")(presets.presets)


def main() -> None:
    """Entry point of the command line."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app(prog_name="enrich")


if __name__ == "__main__":
    main()
