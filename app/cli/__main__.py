"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import typer

from app.cli import backups, database, document, exports, people, record

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Commands for operators.", pretty_exceptions_enable=False
)
for group in (database, backups, people, record, exports, document):
    app.add_typer(group.commands)


if __name__ == "__main__":
    app()
