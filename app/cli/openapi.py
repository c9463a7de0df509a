"""The command that writes the OpenAPI document."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import STANDARD_OUTPUT, Force, open_output, report_errors, require_writable
from app.core.config.settings import Settings

commands = typer.Typer()


@commands.command()
def openapi(
    target: Annotated[Path, typer.Argument(help="File to write. `-` is standard output.")] = STANDARD_OUTPUT,
    force: Force = False,
) -> None:
    """Write the OpenAPI document. It does not depend on settings, so none are read."""
    with report_errors():
        require_writable(target, force=force)
        from app.main import create_app  # noqa: PLC0415 - the other commands start in half the time without FastAPI

        document = json.dumps(create_app(Settings.model_construct()).openapi(), indent=2)
        with open_output(target) as file:
            file.write(f"{document}\n".encode())
