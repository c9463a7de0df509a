"""Backups and restores, noted in the record, and what a restored database is held against before it counts."""

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
from app.services.audit.verification import AuditChainBroken
from app.services.operations.backup_inventory import collect_facts, describe_difference


class RestoreRefused(Exception):
    """The backup can't be restored here. The database is as it was; the message says what to do."""


def record_backup(session: Session, *, at: datetime) -> None:
    """Note in the record that everything is taken out."""
    recorder.record(session, "backup:take", at=at, actor_id=None)


def build_content(stored: ArchiveMember, *, made_by: int) -> DumpFile:
    """A dump as the manifest tells of it."""
    return DumpFile(name=stored.name, bytes=stored.bytes, sha256=stored.sha256, made_by=made_by)


def get_dump(manifest: Manifest) -> ArchiveMember:
    """The dump that a manifest tells of."""
    return ArchiveMember(manifest.content.name, manifest.content.bytes, manifest.content.sha256)


def build_manifest(session: Session, facts: DatabaseInventory, dump: DumpFile, *, at: datetime) -> Manifest:
    """What the backup of a database with these facts says of itself."""
    return Manifest(
        format=1, version=__version__, engine=session.settings.database_kind, taken_at=at, facts=facts, content=dump
    )


def describe(manifest: Manifest) -> str:
    """What a backup holds, for people."""
    entries = sum(count for count, _ in manifest.facts.entries.values())
    events = sum(length for length, _ in manifest.facts.chains.values())
    return f"{manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC, {entries} entries, {events} events"


def parse_manifest(content: bytes, *, engine: EngineName) -> Manifest:
    """The manifest, of a backup that can be restored here. Raises DamagedArchive, RestoreRefused."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise DamagedArchive("The backup's manifest isn't one that this version knows. Is it newer?") from None
    if manifest.engine != engine:
        raise RestoreRefused(f"The backup is of {manifest.engine}, and DB_URL names another engine.")
    if not is_known_revision(manifest.facts.revision):
        raise RestoreRefused(
            f"The backup has the revision {manifest.facts.revision}, which this version doesn't know: "
            f"restore it with version {manifest.version}, or a newer one."
        )
    return manifest


def require_replaceable(connection: Connection, *, force: bool) -> None:
    """Require a database that is empty or ours; ours only without users, unless `force` is given.

    Raises UnknownSchema, RestoreRefused.
    """
    names = set(inspect(connection).get_table_names())
    if names and not {"alembic_version", USER.name, ENTRY.name, AUDIT_EVENT.name} <= names:
        raise UnknownSchema("The database has tables that aren't this service's; nothing was changed.")
    if names and not force and connection.execute(select(USER.c.id).limit(1)).first():
        raise RestoreRefused("The database has people already. Say --force to replace all that it holds by the backup.")


def require_revision(connection: Connection, manifest: Manifest) -> None:
    """Require the database's tables to be at the backup's revision. Raises RestoreRefused."""
    if (revisions := current_revisions(connection)) != {manifest.facts.revision}:
        raise RestoreRefused(
            f"The backup has the revision {manifest.facts.revision}, and the database {', '.join(sorted(revisions))}. "
            "Restore it into an empty database, and point DB_URL at that. Nothing was changed."
        )


def require_matches_manifest(session: Session, manifest: Manifest) -> None:
    """Hold what was restored against the manifest. Raises RestoreRefused at the first difference."""
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
    """Walk the restored record, at this version's revision, and note the restore in it. Raises RestoreRefused where the
    record can't be proven; if that is fine, its first fault is returned."""
    fault = _find_fault(session, on_progress)
    if fault is not None and not allow_unverified:
        raise RestoreRefused(
            f"The backup is whole, but its record can't be proven: {fault} Nothing was changed. Set the AUDIT_KEY, "
            "SECRET_KEY and AUDIT_PREVIOUS_KEYS that it was written with, or say --skip-verification."
        )
    after = {"taken_at": manifest.taken_at, "version": manifest.version, "sha256": manifest.content.sha256}
    try:
        with session.begin_nested():
            recorder.record(session, "backup:restore", at=at, actor_id=None, after=after)
            session.execute(select(1))  # the event goes with it
    except IntegrityError:
        if fault is None:
            raise
        # a broken chain takes no event: the operator is told of the fault, and has the hours
    return fault


def _find_fault(session: Session, on_progress: Callable[[int, int], None]) -> str | None:
    try:
        verification.verify(session, [], on_progress=on_progress)
    except AuditChainBroken as fault:
        return str(fault)  # not the error: its frames keep a cursor open
    return None
