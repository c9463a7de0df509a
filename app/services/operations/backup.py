"""Backup and restore: audit events, the manifest, and the checks of a restored database before the commit."""

from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import IntegrityError

from app import __version__
from app.core.archive import ArchiveMember, DamagedArchive
from app.core.database.migrations import UnknownSchema, current_revisions, is_known_revision
from app.core.database.session import Session
from app.models.tables import AUDIT_EVENT, ENTRY, USER
from app.schemas.operations.backup import DatabaseInventory, DumpFile, EngineName, Manifest
from app.services.audit import recorder, verification
from app.services.audit.stored_rows import AuditChainBroken
from app.services.operations.backup_inventory import collect_facts, describe_difference


class RestoreRefused(Exception):
    """The backup cannot be restored, and the database was not changed. The message says what to do."""


def record_backup(session: Session, *, at: datetime) -> None:
    """Record in the audit log that a backup is created."""
    recorder.record(session, "backup:take", at=at, actor_id=None)


def build_content(stored: ArchiveMember, *, made_by: int) -> DumpFile:
    """Describe a dump for the manifest. `made_by` is the major version of pg_dump, 0 for SQLite."""
    return DumpFile(name=stored.name, bytes=stored.bytes, sha256=stored.sha256, made_by=made_by)


def get_dump(manifest: Manifest) -> ArchiveMember:
    """Return the dump that the manifest describes."""
    return ArchiveMember(manifest.content.name, manifest.content.bytes, manifest.content.sha256)


def build_manifest(session: Session, facts: DatabaseInventory, dump: DumpFile, *, at: datetime) -> Manifest:
    """Build the manifest of a backup."""
    return Manifest(
        format=1, version=__version__, engine=session.settings.database_kind, taken_at=at, facts=facts, content=dump
    )


def describe(manifest: Manifest) -> str:
    """Summarise a backup: its time, and its numbers of entries and audit events."""
    entries = sum(count for count, _ in manifest.facts.entries.values())
    events = sum(length for length, _ in manifest.facts.chains.values())
    return f"{manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC, {entries} entries, {events} events"


def parse_manifest(content: bytes, *, engine: EngineName) -> Manifest:
    """Parse a manifest. Raises DamagedArchive if it is invalid, RestoreRefused for another engine or a newer schema."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise DamagedArchive("The manifest of the backup is unknown to this version. Use a newer version.") from None
    if manifest.engine != engine:
        raise RestoreRefused(f"The backup is from {manifest.engine}, but DB_URL names another engine.")
    if not is_known_revision(manifest.facts.revision):
        raise RestoreRefused(
            f"The backup has revision {manifest.facts.revision}, which this version does not know. "
            f"Restore it with version {manifest.version} or newer."
        )
    return manifest


def require_replaceable(connection: Connection, *, force: bool) -> None:
    """Check that a restore may replace the database.

    Raises UnknownSchema if it has tables of another application. Raises RestoreRefused if it has users, unless `force`.
    """
    names = set(inspect(connection).get_table_names())
    if names and not {"alembic_version", USER.name, ENTRY.name, AUDIT_EVENT.name} <= names:
        raise UnknownSchema("The database has tables of another application. Nothing was changed.")
    if names and not force and connection.execute(select(USER.c.id).limit(1)).first():
        raise RestoreRefused("The database already has users. Use --force to replace its content with the backup.")


def require_revision(connection: Connection, manifest: Manifest) -> None:
    """Check that the database is at the backup's revision. Raises RestoreRefused."""
    if (revisions := current_revisions(connection)) != {manifest.facts.revision}:
        raise RestoreRefused(
            f"The backup has revision {manifest.facts.revision}, but the database has "
            f"{', '.join(sorted(revisions))}. Set DB_URL to an empty database, and restore into that. "
            "Nothing was changed."
        )


def require_matches_manifest(session: Session, manifest: Manifest) -> None:
    """Compare the restored data with the manifest. Raises RestoreRefused at the first difference."""
    if difference := describe_difference(manifest.facts, collect_facts(session)):
        raise RestoreRefused(f"{difference} Nothing was changed.")


def verify_restored(
    session: Session,
    manifest: Manifest,
    *,
    allow_unverified: bool,
    at: datetime,
    on_progress: Callable[[int, int], None],
) -> str | None:
    """Verify the restored audit log, and record the restore in it. The schema must be at this version's revision.

    Returns None, or the first fault if `allow_unverified` is true. Otherwise raises RestoreRefused for a fault.
    """
    fault = _find_fault(session, on_progress)
    if fault is not None and not allow_unverified:
        raise RestoreRefused(
            f"The backup is complete, but its audit log cannot be verified. {fault} Nothing was changed. Set the "
            "AUDIT_KEY, SECRET_KEY and AUDIT_PREVIOUS_KEYS of that time, or use --skip-verification."
        )
    after = {"taken_at": manifest.taken_at, "version": manifest.version, "sha256": manifest.content.sha256}
    try:
        with session.begin_nested():
            recorder.record(session, "backup:restore", at=at, actor_id=None, after=after)
            session.execute(select(1))  # sends the queued event, so that its error is raised here
    except IntegrityError:
        if fault is None:
            raise
        # A trigger rejects events on a broken chain. The caller prints the fault, and the data is restored anyway.
    return fault


def _find_fault(session: Session, on_progress: Callable[[int, int], None]) -> str | None:
    try:
        verification.verify(session, [], on_progress=on_progress)
    except AuditChainBroken as fault:
        return str(fault)  # not the error, because its traceback keeps a cursor open
    return None
