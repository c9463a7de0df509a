"""Commands that take a backup and bring one back, while the service runs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, BinaryIO

import typer
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from app.cli.common import Refused, progress_bar, refusals, written_whole
from app.core import archive
from app.core.config.settings import load_settings
from app.core.database.migrations import (
    ForeignDatabase,
    SchemaState,
    head_revision,
    looking,
    migrate,
    opened,
    schema_state,
)
from app.core.database.postgresql import dump
from app.core.database.session import Database, Session
from app.core.database.sqlite import backup as sqlite_copies
from app.core.observability.logging import first_line
from app.core.time.clock import utc_now
from app.models.metadata import own_tables
from app.schemas.operations.backup import Content, Facts, Manifest
from app.services.operations import backup as backups
from app.services.operations.backup_inventory import facts_of, first_difference

commands = typer.Typer()
BACKUP, RESTORE = "cli:backup", "cli:restore"
Fault = str | None


@commands.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it is there.")] = False,
) -> None:
    """Write all that the database holds at this moment to one file, and check it. It is noted in the record."""
    with refusals(), opened(load_settings()) as database, progress_bar() as progress:
        if file.exists() and not force:
            raise Refused(f"{file} is there already. Choose another name, or say --force.")
        _require_another_file(database, file)
        _note(database)
        with database.reading(BACKUP) as session, written_whole(file) as out:
            session.may_take_forever()
            at, facts = utc_now(), facts_of(session)
            take = _of_sqlite if database.settings.is_sqlite else _of_postgresql
            said = backups.manifest(session, facts, take(session, facts, file, out, progress), at=at)
            archive.add_manifest(out, said.model_dump_json().encode())
            archive.manifest_in(out)  # as a restore will: it may not be too long
            with bar(progress, "Check", said.content.bytes) as update:
                archive.check(out, backups.stored(said), on_bytes=lambda size: update(advance=size))
    typer.echo(f"{file} is written and checked: {backups.told(said)}.")


@commands.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that backup wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace all that the database holds.")] = False,
    skip_verification: Annotated[
        bool, typer.Option("--skip-verification", help="Restore even if the audit log cannot be verified.")
    ] = False,
) -> None:
    """Let the database hold what a backup holds: all of it and checked, or nothing changes. Noted in the record."""
    with refusals(), opened(load_settings()) as database, progress_bar() as progress:
        said = backups.manifest_from(archive.manifest_in(file), engine=database.settings.database_kind)
        with looking(database) as connection:
            backups.require_replaceable(connection, force=force)
        with bar(progress, "Check", said.content.bytes) as update:
            archive.check(file, backups.stored(said), on_bytes=lambda size: update(advance=size))
        put = _into_sqlite if database.settings.is_sqlite else _into_postgresql
        fault = put(database, file, said, progress, skip_verification)
    if fault is not None:
        typer.secho(f"The record can't be proven: {fault}", fg="red", err=True)
    migrated = "" if said.facts.revision == head_revision() else f" It was migrated to {head_revision()}."
    typer.echo(f"The database holds what it held then: {backups.told(said)}.{migrated}")
    if fault is not None and not skip_verification:
        raise typer.Exit(1)


def _require_another_file(database: Database, file: Path) -> None:
    if not database.settings.is_sqlite or not file.exists():
        return
    live = Path(str(database.settings.database_url.database)).resolve()
    own = [live.with_name(live.name + ending) for ending in ("", "-wal", "-shm", "-journal")]
    if any(each.exists() and each.samefile(file) for each in own):
        raise Refused(f"{file} is the database itself, or its log. Choose another name.")


def _note(database: Database) -> None:
    """Note the backup in the record: one of an older revision has a record of another shape, and can be backed up all
    the same before it is migrated."""
    state = schema_state(database)
    if state is SchemaState.foreign:
        raise ForeignDatabase("The database has tables, but no revision that this version knows. Use one that does.")
    if state is SchemaState.empty:
        raise Refused("The database of DB_URL is empty: there is nothing to back up.")
    if state is SchemaState.current:
        with database.writing(BACKUP) as session:
            backups.record_taking(session, at=utc_now())


def _of_sqlite(session: Session, facts: Facts, file: Path, out: BinaryIO, progress: Progress) -> Content:
    source = session.connection().connection.dbapi_connection
    assert isinstance(source, sqlite3.Connection)
    with TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
        copied = Path(folder) / "time_tracking.db"
        with bar(progress, "Copy") as update:
            sqlite_copies.copy(source, copied, on_pages=lambda done, total: update(completed=done, total=total))
        with opened(load_settings(DB_URL=f"sqlite:///{copied}")) as database, database.reading(BACKUP) as again:
            if difference := first_difference(facts, facts_of(again)):
                raise Refused(f"The copy isn't what was copied. {difference}")
        sqlite_copies.settle(copied)
        with copied.open("rb") as source_file, bar(progress, "Compress", copied.stat().st_size) as update:
            stored = archive.pack(
                out, copied.name, source_file, is_compressed=False, on_bytes=lambda size: update(advance=size)
            )
    return backups.content(stored, made_by=0)


def _of_postgresql(session: Session, _facts: Facts, _file: Path, out: BinaryIO, progress: Progress) -> Content:
    connection = session.connection()
    major = dump.server_major(connection)
    pg_dump, pg_restore = (dump.program(name, at_least=major) for name in ("pg_dump", "pg_restore"))
    with bar(progress, "Dump") as update, dump.pg_dump_stream(connection, pg_dump, own_tables()) as source:
        stored = archive.pack(
            out, "time_tracking.dump", source, is_compressed=True, on_bytes=lambda size: update(advance=size)
        )
    dump.verify_dump(connection, pg_restore, own_tables(), partial(archive.unpack, out, stored))
    return backups.content(stored, made_by=dump.major_of(pg_dump))


def _into_sqlite(database: Database, file: Path, said: Manifest, progress: Progress, skip_verification: bool) -> Fault:
    live = Path(str(database.settings.database_url.database))
    with TemporaryDirectory(dir=live.parent, prefix=".restore-") as folder:
        staged = Path(folder) / "restored.db"
        with staged.open("wb") as out:
            archive.unpack(file, backups.stored(said), out)
        sqlite_copies.settle(staged)
        with opened(load_settings(DB_URL=f"sqlite:///{staged}")) as restored:
            with restored.reading(RESTORE) as session:
                backups.require_same(session, said)
            migrate(restored)
            with restored.writing(RESTORE) as session:
                fault = _proven(session, said, progress, skip_verification)
        with bar(progress, "Put in place") as update:
            sqlite_copies.put_in_place(
                staged, database.settings, on_pages=lambda done, total: update(completed=done, total=total)
            )
    return fault


def _into_postgresql(
    database: Database, file: Path, said: Manifest, progress: Progress, skip_verification: bool
) -> Fault:
    pg_restore = dump.program("pg_restore", at_least=said.content.made_by)
    if schema_state(database) is SchemaState.empty:
        migrate(database, said.facts.revision, report=_report)
    with _all_or_nothing(), database.writing(RESTORE) as session:
        session.may_take_forever()
        connection = session.connection()
        dump.lock_tables(connection, own_tables(), report=_report)
        backups.require_revision(connection, said)
        unpack = partial(archive.unpack, file, backups.stored(said))
        with bar(progress, "Rows", sum(said.facts.tables.values())) as update:
            dump.restore_rows(connection, pg_restore, own_tables(), unpack, on_rows=lambda rows: update(advance=rows))
        backups.require_same(session, said)
        if said.facts.revision == head_revision():
            return _proven(session, said, progress, skip_verification)
    migrate(database, report=_report)  # in transactions of its own
    with database.writing(RESTORE) as session:
        session.may_take_forever()
        return _proven(session, said, progress, skip_verification=True)


def _report(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Refused(f"Nothing was changed, since the database refused: {first_line(error.orig)}") from None


def _proven(session: Session, said: Manifest, progress: Progress, skip_verification: bool) -> Fault:
    with bar(progress, "Links") as update:
        return backups.prove(
            session,
            said,
            is_unproven_fine=skip_verification,
            at=utc_now(),
            on_progress=lambda done, total: update(completed=done, total=total),
        )


@contextmanager
def bar(progress: Progress, what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar for one step, and what moves it."""
    task = progress.add_task(what, total=total)
    yield partial(progress.update, task)
    progress.update(task, visible=False)
