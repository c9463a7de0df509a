"""Commands for backup and restore while the service runs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, BinaryIO

import typer
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from app.cli.common import (
    STANDARD_OUTPUT,
    CommandError,
    Force,
    progress_bar,
    report_errors,
    require_database_file,
    require_writable,
    write_atomically,
)
from app.core import archive
from app.core.config.settings import load_settings
from app.core.database.migrations import (
    SchemaState,
    UnknownSchema,
    detect_schema_state,
    head_revision,
    inspect_connection,
    migrate,
    open_database,
)
from app.core.database.postgresql import dump
from app.core.database.session import Database, Session
from app.core.database.sqlite import backup as sqlite_backup
from app.core.observability.logging import first_line
from app.core.security.keyring import Keyring
from app.core.time.clock import utc_now
from app.models.metadata import own_tables
from app.schemas.operations.backup import DatabaseInventory, DumpFile, Manifest
from app.services.operations import backup as backup_service
from app.services.operations.backup_inventory import collect_facts, describe_difference

commands = typer.Typer()
BACKUP_REQUEST_ID, RESTORE_REQUEST_ID = "cli:backup", "cli:restore"


@commands.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write.")],
    force: Force = False,
) -> None:
    """Write a backup of the database to one file, and check it. The backup is recorded in the audit log."""
    with report_errors(), _open_existing_database() as database, progress_bar() as progress:
        if file == STANDARD_OUTPUT:
            raise CommandError("A backup is read again to check it, so it cannot go to standard output. Name a file.")
        require_writable(file, force=force)
        _require_another_file(database, file)
        _record_backup(database)
        with database.read_transaction(BACKUP_REQUEST_ID) as session, write_atomically(file) as out:
            session.disable_timeouts()
            at, facts = utc_now(), collect_facts(session)
            dump_database = _dump_sqlite if database.settings.is_sqlite else _dump_postgresql
            manifest = backup_service.build_manifest(
                session, facts, dump_database(session, facts, file, out, progress), at=at
            )
            content = manifest.model_dump_json().encode()
            archive.add_manifest(out, content, backup_service.authenticate_backup(database.keyring.audit_keys, content))
            archive.read_manifest(out)  # checks the size limit that a restore applies
            with progress_step(progress, "Check", manifest.content.bytes) as update:
                archive.check(out, backup_service.get_dump(manifest), on_bytes=lambda size: update(advance=size))
    typer.echo(f"Wrote and checked {file}: {backup_service.describe(manifest)}, of {_name(database)}.")


@commands.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Backup file to restore.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the database even if it has users.")] = False,
    skip_verification: Annotated[
        bool,
        typer.Option("--skip-verification", help="Restore even if the backup cannot be verified."),
    ] = False,
) -> None:
    """Replace the content of the database with a checked backup. If a check fails, nothing is changed, except for a
    PostgreSQL backup of another revision.

    The restore is recorded in the audit log.
    """
    with report_errors():
        content = archive.read_manifest(file)  # before an SQLite file is created
    with report_errors(), open_database(load_settings()) as database, progress_bar() as progress:
        manifest = backup_service.parse_manifest(content, engine=database.settings.database_kind)
        faults = backup_service.require_authentic(
            database.keyring.audit_keys, content, archive.read_manifest_mac(file), allow_unverified=skip_verification
        )
        with inspect_connection(database) as connection:
            backup_service.require_replaceable(connection, force=force)
        with progress_step(progress, "Check", manifest.content.bytes) as update:
            archive.check(file, backup_service.get_dump(manifest), on_bytes=lambda size: update(advance=size))
        restore_database = _restore_sqlite if database.settings.is_sqlite else _restore_postgresql
        faults += restore_database(database, file, manifest, progress, skip_verification)
    for fault in faults:
        typer.secho(f"The backup cannot be verified. {fault}", fg="red", err=True)
    migration_note = "" if manifest.facts.revision == head_revision() else f" It was migrated to {head_revision()}."
    typer.echo(f"Restored the backup of {backup_service.describe(manifest)}, to {_name(database)}.{migration_note}")
    if faults and not skip_verification:
        raise typer.Exit(1)


@contextmanager
def _open_existing_database() -> Iterator[Database]:
    settings = load_settings()
    require_database_file(settings)
    with open_database(settings) as database:
        yield database


def _name(database: Database) -> str:
    return database.settings.redacted_database_url


def _require_another_file(database: Database, file: Path) -> None:
    database_file = database.settings.database_file
    if database_file is None or not file.exists():
        return
    own_files = [database_file.with_name(database_file.name + ending) for ending in ("", "-wal", "-shm", "-journal")]
    if any(own_file.exists() and own_file.samefile(file) for own_file in own_files):
        raise CommandError(f"{file} is the database file or its write-ahead log. Choose another name.")


def _record_backup(database: Database) -> None:
    """Record the backup in the audit log, unless the database is at an older revision.

    Audit tables of older revisions differ. Such a database can be backed up before a migration, but without an event.
    """
    state = detect_schema_state(database)
    if state is SchemaState.unknown:
        raise UnknownSchema("The schema of the database is unknown to this version. Use the version that migrated it.")
    if state is SchemaState.empty:
        raise CommandError("The database of DB_URL is empty. There is nothing to back up.")
    if state is SchemaState.current:
        with database.write_transaction(BACKUP_REQUEST_ID) as session:
            backup_service.record_backup(session, at=utc_now())


def _dump_sqlite(session: Session, facts: DatabaseInventory, file: Path, out: BinaryIO, progress: Progress) -> DumpFile:
    source = session.connection().connection.dbapi_connection
    assert isinstance(source, sqlite3.Connection)
    with TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
        copy = Path(folder) / "time_tracking.db"
        with progress_step(progress, "Copy") as update:
            sqlite_backup.copy_database(source, copy, on_pages=lambda done, total: update(completed=done, total=total))
        with (
            _open_copy(session.keyring, copy) as database,
            database.read_transaction(BACKUP_REQUEST_ID) as copy_session,
        ):
            if difference := describe_difference(facts, collect_facts(copy_session)):
                raise CommandError(f"The copy differs from the database. {difference}")
        sqlite_backup.finalize_copy(copy)
        with copy.open("rb") as source_file, progress_step(progress, "Compress", copy.stat().st_size) as update:
            member = archive.pack(
                out, copy.name, source_file, is_compressed=False, on_bytes=lambda size: update(advance=size)
            )
    return backup_service.build_content(member, made_by=0)


def _dump_postgresql(
    session: Session, _facts: DatabaseInventory, _file: Path, out: BinaryIO, progress: Progress
) -> DumpFile:
    connection = session.connection()
    major = dump.server_major(connection)
    pg_dump, pg_restore = (dump.find_program(name, at_least=major) for name in ("pg_dump", "pg_restore"))
    with progress_step(progress, "Dump") as update, dump.pg_dump_stream(connection, pg_dump, own_tables()) as source:
        member = archive.pack(
            out, "time_tracking.dump", source, is_compressed=True, on_bytes=lambda size: update(advance=size)
        )
    dump.verify_dump(connection, pg_restore, own_tables(), partial(archive.unpack, out, member))
    return backup_service.build_content(member, made_by=dump.program_major(pg_dump))


def _open_copy(keyring: Keyring, file: Path) -> AbstractContextManager[Database]:
    """Open a copy of the SQLite file with the keys of the database, whose key file is not beside the copy."""
    return open_database(load_settings(DB_URL=f"sqlite:///{file}", SECRET_KEY_FILE=keyring.key_file))


def _restore_sqlite(
    database: Database, file: Path, manifest: Manifest, progress: Progress, skip_verification: bool
) -> list[str]:
    database_file = database.settings.database_file
    assert database_file is not None
    with TemporaryDirectory(dir=database_file.parent, prefix=".restore-") as folder:
        staged = Path(folder) / "restored.db"
        with staged.open("wb") as out:
            archive.unpack(file, backup_service.get_dump(manifest), out)
        sqlite_backup.finalize_copy(staged)
        with _open_copy(database.keyring, staged) as restored:
            with restored.read_transaction(RESTORE_REQUEST_ID) as session:
                backup_service.require_matches_manifest(session, manifest)
                backup_service.require_own_schema(session, manifest)
            migrate(restored)
            with restored.write_transaction(RESTORE_REQUEST_ID) as session:
                faults = _verify_audit_log(session, manifest, progress, skip_verification)
        with progress_step(progress, "Put in place") as update:
            sqlite_backup.replace_database(
                staged, database.settings, on_pages=lambda done, total: update(completed=done, total=total)
            )
    return faults


def _restore_postgresql(
    database: Database, file: Path, manifest: Manifest, progress: Progress, skip_verification: bool
) -> list[str]:
    pg_restore = dump.find_program("pg_restore", at_least=manifest.content.made_by)
    if detect_schema_state(database) is SchemaState.empty:
        migrate(database, manifest.facts.revision, report=_print_to_stderr)
    with _all_or_nothing(), database.write_transaction(RESTORE_REQUEST_ID) as session:
        session.disable_timeouts()
        connection = session.connection()
        dump.lock_tables(connection, own_tables(), report=_print_to_stderr)
        backup_service.require_revision(connection, manifest)
        unpack = partial(archive.unpack, file, backup_service.get_dump(manifest))
        with progress_step(progress, "Rows", sum(manifest.facts.tables.values())) as update:
            dump.restore_rows(connection, pg_restore, own_tables(), unpack, on_rows=lambda rows: update(advance=rows))
        backup_service.require_matches_manifest(session, manifest)
        if manifest.facts.revision == head_revision():
            return _verify_audit_log(session, manifest, progress, skip_verification)
    migrate(database, report=_print_to_stderr)  # uses its own transactions
    with database.write_transaction(RESTORE_REQUEST_ID) as session:
        session.disable_timeouts()
        return _verify_audit_log(session, manifest, progress, skip_verification=True)


def _print_to_stderr(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise CommandError(f"Database error, nothing was changed: {first_line(error.orig)}") from None


def _verify_audit_log(session: Session, manifest: Manifest, progress: Progress, skip_verification: bool) -> list[str]:
    with progress_step(progress, "Links") as update:
        return backup_service.verify_restored(
            session,
            manifest,
            allow_unverified=skip_verification,
            at=utc_now(),
            on_progress=lambda done, total: update(completed=done, total=total),
        )


@contextmanager
def progress_step(progress: Progress, description: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a progress bar for one step. Yields the function that updates it."""
    task = progress.add_task(description, total=total)
    yield partial(progress.update, task)
    progress.update(task, visible=False)
