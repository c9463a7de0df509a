"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from app.core.clock import utc_now
from app.core.config import BadSettings, Settings, load_settings
from app.core.db import Database
from app.core.errors import DomainError
from app.core.live_migration import PATIENCE_SECONDS
from app.core.logging import first_line
from app.core.migrations import UnusableDatabase, head_revision, make_ready, migrate, opened
from app.core.passwords import hash_password, weakness
from app.main import create_app
from app.models.metadata import all_tables
from app.models.user import Role
from app.schemas.report import Attribution, Columns, ExportFormat, Scope
from app.schemas.types import MAX_ID, Day, Month, TimeZoneName
from app.schemas.user import UserCreate
from app.services import audit_proof, demo, exports, onboarding, people, personal_data, timesheet, timesheet_pdf, users
from app.services.audit_proof import BrokenRecord
from app.services.errors import ImportRefused
from app.services.exports import ExportWanted
from app.services.people_csv import MAX_FILE_BYTES
from app.services.periods import Period, of_month

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Commands for operators.", pretty_exceptions_enable=False
)


STATEMENT_SECONDS = 600  # for a statement over everything; nobody waits behind it


class Refused(Exception):
    """The command was asked for something that it doesn't do."""


@contextmanager
def _refusals() -> Iterator[None]:
    """What can't be done is one line on standard error and exit code 1."""
    try:
        yield
    except (Refused, BadSettings, UnusableDatabase, DomainError, BrokenRecord, demo.NotEmpty, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    except DBAPIError as error:
        typer.secho(f"The database refused: {first_line(error)}", fg="red", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _database(**overrides: object) -> Iterator[Database]:
    """The database of the settings, at the revision that this version needs."""
    with _refusals(), opened(load_settings(**overrides)) as database:
        make_ready(database, all_tables())
        yield database


@app.command("migrate")
def migrate_command(
    patience: Annotated[
        int, typer.Option(help="Seconds for which PostgreSQL's locks are waited for.", min=1, max=86400)
    ] = PATIENCE_SECONDS,
) -> None:
    """Bring the database to the revision this version needs, while the version before goes on working on it."""
    with _refusals(), opened(load_settings()) as database:
        migrate(database, patience_seconds=patience, say=lambda line: typer.echo(line, err=True))
    typer.echo(f"The database is at {head_revision()}.")


@app.command()
def create_admin(
    email: str,
    first_name: Annotated[str, typer.Option()] = "First",
    last_name: Annotated[str, typer.Option()] = "Admin",
) -> None:
    """Add an admin. The password is asked for, or read from standard input where that is not a terminal."""
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if sys.stdin.isatty() else _piped()
    with _database() as database:
        try:
            wanted = UserCreate(
                email=email, first_name=first_name, last_name=last_name, password=password, role=Role.admin
            )
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise Refused(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
        if reason := weakness(password):
            raise Refused(f"password: {reason}")
        with database.writing("cli:create-admin") as session:
            admin = users.create(session, None, wanted, password_hash=hash_password(password), at=utc_now())
    typer.echo(f"Created admin {admin.email} with id {admin.id}.")


@app.command("demo")
def demo_command(
    force: Annotated[bool, typer.Option("--force", help="Also where there are people already.")] = False,
    password: Annotated[str, typer.Option(help="Everybody's password.")] = demo.PASSWORD,
) -> None:
    """Fill the database with a believable company: 3 teams, 30 people, 90 days of entries."""
    with _database() as database, _progress() as progress:
        if reason := weakness(password):
            raise Refused(f"--password: {reason}")
        if password == demo.PASSWORD and database.settings.is_exposed:
            raise Refused("--password is missing: others can reach this service, and the default is published.")
        task = progress.add_task("People and their days", visible=False)
        with database.writing("cli:demo") as session:
            company = demo.build(
                session,
                password_hash=hash_password(password),
                force=force,
                at=utc_now(),
                on_progress=lambda done, total: progress.update(task, completed=done, total=total, visible=True),
            )
    typer.echo(
        f"{company.people} people, {company.entries} entries. Log in as {company.boss_email}, "
        f"{company.manager_email} or {company.employee_email} with the password {password!r}."
    )


@app.command()
def import_users(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8; its header names the columns.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file.")] = False,
) -> None:
    """Add everybody in a CSV file, or nobody: then each fault is a line. They have no passwords yet."""
    with _database() as database, _progress() as progress:
        with file.open("rb") as opened_file:
            content = opened_file.read(MAX_FILE_BYTES + 1)
        task = progress.add_task("Check the file", total=None)
        with _faults(), database.reading("cli:import-users") as session:
            prepared = onboarding.prepare(session, content, at=(now := utc_now()))
        progress.update(task, description="People", total=len(prepared.rows))
        if not dry_run:
            with _faults(), database.writing("cli:import-users") as session:
                onboarding.add(
                    session, None, prepared, at=now, on_progress=lambda done, _: progress.update(task, completed=done)
                )
    typer.echo(f"{len(prepared.rows)} people {'can be imported' if dry_run else 'imported'}.")


@app.command()
def verify_audit(
    seal: Annotated[Path | None, typer.Option(help="Lines that seal-audit wrote, to hold the chains against.")] = None,
) -> None:
    """Prove the record: walk every chain, name the first broken or missing link, and exit with 1 where there is one."""
    with _database(DB_STATEMENT_TIMEOUT_SECONDS=STATEMENT_SECONDS) as database, _progress() as progress:
        lines = [] if seal is None else _seals_in(seal)
        task = progress.add_task("Links", visible=False)
        with database.reading("cli:verify-audit") as session:
            proof = audit_proof.verify(
                session,
                lines,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total, visible=True),
            )
    typer.echo(
        f"The record holds: {proof.chains} chains, {proof.events} events, "
        f"{proof.erased} of them with erased personal values; {proof.seals} seals kept."
    )


@app.command()
def seal_audit() -> None:
    """Print one signed line over the heads of all chains. Keep it where whoever has the database can't reach."""
    with _database() as database, database.reading("cli:seal-audit") as session:
        typer.echo(audit_proof.seal(session, at=utc_now()))


@app.command()
def erase_person(
    person_id: Annotated[int, typer.Argument(help="The person's id.", min=1, max=MAX_ID)],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Replace a deactivated person's name and e-mail by a pseudonym, for good, once RETENTION_DAYS have passed."""
    with _database() as database:
        if not yes and not typer.confirm(f"Erase the name and e-mail of person {person_id} for good?", err=True):
            raise Refused("Nothing was erased.")
        with database.writing("cli:erase-person") as session:
            pseudonym = personal_data.erase(session, person_id, at=utc_now())
    typer.echo(f"Person {person_id} is {pseudonym} from now on. Older backups still have the name.")


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write; its ending says the format: .csv, .xlsx or .jsonl.")],
    start_date: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")],
    end_date: Annotated[str, typer.Option(help="Last day, included.")],
    manager: Annotated[int | None, typer.Option(help="Only this manager's team, by id.", min=1, max=MAX_ID)] = None,
    include_indirect: Annotated[bool, typer.Option(help="The whole tree below the manager.")] = False,
    columns: Annotated[Columns, typer.Option(help="Which columns.")] = Columns.full,
    attribution: Annotated[Attribution, typer.Option(help="To which day hours belong.")] = Attribution.at_start,
    tz: Annotated[str | None, typer.Option(help="Days of this zone for all; else each entry's own.")] = None,
) -> None:
    """Write hours to a file as the API does: everybody's, or a team's. It is noted in the record."""
    with _database() as database, _progress() as progress:
        export_format = _format_of(target)
        scope = Scope.all if manager is None else Scope.team
        wanted = ExportWanted(_period(start_date, end_date, tz), scope, include_indirect, columns, attribution)
        included = exports.everybody() if manager is None else exports.team_of(manager, wanted)
        with database.writing("cli:export") as session:
            people.lock(session, *([manager] if manager else []))
            exports.record(session, export_format, wanted, scope=scope, actor=None, at=(now := utc_now()))
        task = progress.add_task("Entries", total=None)
        with database.reading("cli:export") as session, _written(target) as file:
            progress.update(task, total=exports.count(session, included, wanted))
            exports.write(
                session,
                included,
                wanted,
                export_format,
                file.write,
                at=now,
                on_rows=lambda rows: progress.update(task, advance=rows),
            )
    typer.echo(f"{target} is written.")


@app.command("timesheet")
def timesheet_command(
    person_id: Annotated[int, typer.Argument(help="The person's id.", min=1, max=MAX_ID)],
    month: Annotated[str, typer.Argument(help="YYYY-MM.")],
    target: Annotated[Path, typer.Argument(help="File to write.")],
    tz: Annotated[str | None, typer.Option(help="Days of this zone; else each entry's own.")] = None,
) -> None:
    """Write a person's month as a PDF to sign, as the API does. It is noted in the record."""
    with _database() as database:
        period = of_month(_valid(Month, month), None if tz is None else _valid(TimeZoneName, tz))
        with database.writing("cli:timesheet") as session:
            people.lock(session, person_id)
            timesheet.record(session, person_id, period, actor=None, at=(now := utc_now()))
        with database.reading("cli:timesheet") as session:
            sheet = timesheet.for_operator(session, person_id, period, at=now)
        with _written(target) as file:
            file.write(timesheet_pdf.rendered(sheet))
    typer.echo(f"{target} is written.")


@app.command()
def openapi(
    target: Annotated[Path | None, typer.Argument(help="File to write; standard output if left out.")] = None,
) -> None:
    """Write the OpenAPI document. It is the same under all settings, so none are read."""
    document = json.dumps(create_app(Settings.model_construct()).openapi(), indent=2)
    with _refusals():
        if target is None:
            typer.echo(document)
        else:
            target.write_text(f"{document}\n")


def _format_of(target: Path) -> ExportFormat:
    endings = {".csv": ExportFormat.csv, ".xlsx": ExportFormat.xlsx, ".jsonl": ExportFormat.json}
    if target.suffix not in endings:
        raise Refused(f"{target}: the name must end with {', '.join(endings)}.")
    return endings[target.suffix]


def _period(start_date: str, end_date: str, tz: str | None) -> Period:
    start, end = _valid(Day, start_date), _valid(Day, end_date)
    return Period(start, end, None if tz is None else _valid(TimeZoneName, tz))


def _valid(kind: Any, text: str) -> Any:
    """The text as a value of the API's kind."""
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise Refused(f"{text!r}: {first['msg'].removeprefix('Value error, ')}") from None


@contextmanager
def _written(target: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read, and that has its name only once it is whole."""
    unfinished = target.with_name(f"{target.name}.part")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _faults() -> Iterator[None]:
    """The faults of a file, a line each on standard error, before the refusal."""
    try:
        yield
    except ImportRefused as refused:
        for each in refused.facts["errors"]:
            (what, line), column = each["loc"][:2], each["loc"][2:]
            typer.echo(f"{', '.join([f'{what} {line}', *column])}: {each['message']}", err=True)
        raise


def _seals_in(file: Path) -> list[str]:
    """Its lines, in any encoding: what isn't a seal is told by its number."""
    lines = file.read_text("utf-8", errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise Refused(f"There is no seal in {file}.")
    return lines


def _progress() -> Progress:
    """A bar on standard error, where that is a terminal."""
    on_terminal = Console(stderr=True)
    return Progress(console=on_terminal, disable=not on_terminal.is_terminal)


def _piped() -> str:
    return sys.stdin.readline().rstrip("\r\n")


if __name__ == "__main__":
    app()
