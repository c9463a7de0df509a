"""Backup and restore: audit events, the manifest and its MAC, and the checks of a restored database."""

import hashlib
import re
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from hmac import compare_digest

from pydantic import ValidationError
from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import IntegrityError

from app import __version__
from app.core.archive import ArchiveMember, DamagedArchive
from app.core.database.migrations import UnknownSchema, current_revisions, is_known_revision
from app.core.database.session import DatabaseUnavailable, Session
from app.core.security.hash_chain import HashChainKeys, UnknownKey
from app.models.tables import AUDIT_EVENT, ENTRY, USER
from app.schemas.operations.backup import DatabaseInventory, DumpFile, EngineName, Manifest
from app.services.audit import recorder, verification
from app.services.audit.reconciliation import Reconciliation
from app.services.audit.stored_rows import AuditChainBroken
from app.services.operations.backup_inventory import collect_facts, describe_difference
from app.services.operations.schema_check import find_differences

_MAC = re.compile(r"(?P<key>[0-9a-f]{16}) (?P<mac>[0-9a-f]{64})")


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


def authenticate_backup(keys: HashChainKeys, manifest: bytes) -> str:
    """Return the MAC of a manifest, after the id of its key. The key is derived from AUDIT_KEY."""
    return f"{keys.current_id} {_manifest_mac(keys, keys.current_id, manifest)}"


def require_authentic(keys: HashChainKeys, manifest: bytes, mac: str | None, *, allow_unverified: bool) -> list[str]:
    """Check that a manifest, and so the dump that it describes, is from a service with this AUDIT_KEY.

    Returns no fault, or one if `allow_unverified` is true. Otherwise raises RestoreRefused for a fault.
    """
    fault = _find_forgery(keys, manifest, mac)
    if fault is None:
        return []
    if not allow_unverified:
        raise RestoreRefused(
            f"{fault} Nothing was changed. If you know that this file is your own, use --skip-verification."
        )
    return [fault]


def _find_forgery(keys: HashChainKeys, manifest: bytes, mac: str | None) -> str | None:
    if mac is None:
        return "The backup is not authenticated. It was created before version 0.10, or by somebody else."
    parts = _MAC.fullmatch(mac)
    try:
        if parts is not None and compare_digest(_manifest_mac(keys, parts["key"], manifest), parts["mac"]):
            return None
    except UnknownKey as error:
        return f"The backup cannot be authenticated. {error}."
    return "The backup is not authentic. Its manifest was changed after it was created."


def _manifest_mac(keys: HashChainKeys, key: str, manifest: bytes) -> str:
    return keys.mac(key, {"backup_manifest_sha256": hashlib.sha256(manifest).hexdigest()})


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


def require_own_schema(session: Session, manifest: Manifest) -> None:
    """Check that the tables, indexes, triggers and views are those of the backup's revision. Raises RestoreRefused.

    On SQLite the backup becomes the database, with every trigger in it. A foreign trigger could change later writes.
    """
    if differences := find_differences(session, manifest.facts.revision):
        raise RestoreRefused(f"The backup has another schema than the service. {differences[0]} Nothing was changed.")


def verify_restored(
    session: Session,
    manifest: Manifest,
    *,
    allow_unverified: bool,
    at: datetime,
    on_progress: Callable[[int, int], None],
) -> list[str]:
    """Verify the restored audit log, compare the rows with it, and record the restore in it.

    The schema must be at this version's revision. Returns the faults if `allow_unverified` is true. Otherwise raises
    RestoreRefused for the first one.
    """
    faults = _find_faults(session, on_progress)
    if faults and not allow_unverified:
        raise RestoreRefused(
            f"The backup is complete, but its audit log cannot be verified. {faults[0]} Nothing was changed. Set the "
            "AUDIT_KEY, SECRET_KEY and AUDIT_PREVIOUS_KEYS of that time, or use --skip-verification."
        )
    after = {"taken_at": manifest.taken_at, "version": manifest.version, "sha256": manifest.content.sha256}
    try:
        with session.begin_nested():
            recorder.record(session, "backup:restore", at=at, actor_id=None, after=after)
            session.execute(select(1))  # sends the queued event, so that its error is raised here
    except (IntegrityError, DatabaseUnavailable):
        if not faults:
            raise
        # A trigger rejects events on a broken chain. The caller prints the faults, and the data is restored anyway.
    return faults


def _find_faults(session: Session, on_progress: Callable[[int, int], None]) -> list[str]:
    with closing(Reconciliation(session)) as reconciliation:
        try:
            verification.verify(session, [], on_progress=on_progress, reconciliation=reconciliation)
        except AuditChainBroken as fault:
            return [str(fault)]  # not the error, because its traceback keeps a cursor open
    return reconciliation.named_faults
