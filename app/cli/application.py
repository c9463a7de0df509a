"""The typer application with all commands."""

from typing import Annotated

import typer

from app import __version__
from app.cli import audit, database, exports, openapi, operations, run_script, timesheets, users

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_OWN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"time-tracking {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version)] = False,
) -> None:
    """Commands for operators of the Employee Time Tracking API."""


@app.command(context_settings=_OWN_OPTIONS, add_help_option=False)
def serve(context: typer.Context) -> None:
    """Start the server. `serve --help` lists its options."""
    raise typer.Exit(run_script("serve", context.args))


@app.command(context_settings=_OWN_OPTIONS, add_help_option=False)
def check(context: typer.Context) -> None:
    """Check the health of a running server. `check --help` lists its options."""
    raise typer.Exit(run_script("check", context.args))


for group in (database, operations, users, audit, exports, timesheets, openapi):
    app.add_typer(group.commands)
