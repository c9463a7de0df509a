"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import signal
from types import FrameType

import typer

from app.cli import audit, database, exports, openapi, operations, users

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Commands for operators.", pretty_exceptions_enable=False
)
for group in (database, operations, users, audit, exports, openapi):
    app.add_typer(group.commands)


def _handle_sigterm(number: int, _frame: FrameType | None) -> None:
    """Raise SystemExit, so that unfinished files are removed. A second signal is ignored during this cleanup."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _handle_sigterm)
    app()
