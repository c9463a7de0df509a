"""The command that writes the OpenAPI document."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import report_errors
from app.core.config.settings import Settings

commands = typer.Typer()


@commands.command()
def openapi(
    target: Annotated[Path | None, typer.Argument(help="File to write. Default: standard output.")] = None,
) -> None:
    """Write the OpenAPI document. It does not depend on settings, so none are read."""
    from app.main import create_app  # noqa: PLC0415 - the other commands start in half the time without FastAPI

    document = json.dumps(create_app(Settings.model_construct()).openapi(), indent=2)
    with report_errors():
        if target is None:
            typer.echo(document)
        else:
            target.write_text(f"{document}\n")
