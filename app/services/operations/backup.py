"""Backups and restores, noted in the record, and what a restored database is held against before it counts."""

from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import IntegrityError

from app import __version__
from app.core.archive import DamagedArchive, Stored
from app.core.database.migrations import ForeignDatabase, is_known_revision, revisions_of
from app.core.database.session import Session
from app.models.tables import ENTRY, EVENT, USER
from app.schemas.operations.backup import Content, Engine, Facts, Manifest
from app.services.audit import recorder, verification
from app.services.audit.verification import BrokenRecord
from app.services.operations.backup_inventory import facts_of, first_difference


class RestoreRefused(Exception):
    """The backup can't be restored here. The database is as it was; the message says what to do."""


def record_taking(session: Session, *, at: datetime) -> None:
    """Note in the record that everything is taken out."""
    recorder.record(session, "backup:take", at=at, actor_id=None)


def content(stored: Stored, *, made_by: int) -> Content:
    """A dump as the manifest tells of it."""
    return Content(name=stored.name, bytes=stored.bytes, sha256=stored.sha256, made_by=made_by)


def stored(said: Manifest) -> Stored:
    """The dump that a manifest tells of."""
    return Stored(said.content.name, said.content.bytes, said.content.sha256)


def manifest(session: Session, facts: Facts, dump: Content, *, at: datetime) -> Manifest:
    """What the backup of a database with these facts says of itself."""
    return Manifest(
        format=1, version=__version__, engine=session.settings.database_kind, taken_at=at, facts=facts, content=dump
    )


def told(said: Manifest) -> str:
    """What a backup holds, for people."""
    entries = sum(count for count, _ in said.facts.entries.values())
    events = sum(length for length, _ in said.facts.chains.values())
    return f"{said.taken_at:%Y-%m-%d %H:%M:%S} UTC, {entries} entries, {events} events"


def manifest_from(content: bytes, *, engine: Engine) -> Manifest:
    """The manifest, of a backup that can be restored here. Raises DamagedArchive, RestoreRefused."""
    try:
        said = Manifest.model_validate_json(content)
    except ValidationError:
        raise DamagedArchive("The backup's manifest isn't one that this version knows. Is it newer?") from None
    if said.engine != engine:
        raise RestoreRefused(f"The backup is of {said.engine}, and DB_URL names another engine.")
    if not is_known_revision(said.facts.revision):
        raise RestoreRefused(
            f"The backup has the revision {said.facts.revision}, which this version doesn't know: "
            f"restore it with version {said.version}, or a newer one."
        )
    return said


def require_replaceable(connection: Connection, *, force: bool) -> None:
    """Require a database that is empty or ours; ours only without users, unless `force` is given.

    Raises ForeignDatabase, RestoreRefused.
    """
    names = set(inspect(connection).get_table_names())
    if names and not {"alembic_version", USER.name, ENTRY.name, EVENT.name} <= names:
        raise ForeignDatabase("The database has tables that aren't this service's; nothing was changed.")
    if names and not force and connection.execute(select(USER.c.id).limit(1)).first():
        raise RestoreRefused("The database has people already. Say --force to replace all that it holds by the backup.")


def require_revision(connection: Connection, said: Manifest) -> None:
    """Require the database's tables to be at the backup's revision. Raises RestoreRefused."""
    if (found := revisions_of(connection)) != {said.facts.revision}:
        raise RestoreRefused(
            f"The backup has the revision {said.facts.revision}, and the database {', '.join(sorted(found))}. Restore "
            "it into an empty database, and point DB_URL at that. Nothing was changed."
        )


def require_same(session: Session, said: Manifest) -> None:
    """Hold what was restored against the manifest. Raises RestoreRefused at the first difference."""
    if difference := first_difference(said.facts, facts_of(session)):
        raise RestoreRefused(f"{difference} Nothing was changed.")


def prove(
    session: Session, said: Manifest, *, is_unproven_fine: bool, at: datetime, on_progress: Callable[[int, int], None]
) -> str | None:
    """Walk the restored record, at this version's revision, and note the restore in it. Raises RestoreRefused where the
    record can't be proven; if that is fine, its first fault is returned."""
    fault = _fault(session, on_progress)
    if fault is not None and not is_unproven_fine:
        raise RestoreRefused(
            f"The backup is whole, but its record can't be proven: {fault} Nothing was changed. Set the AUDIT_KEY, "
            "SECRET_KEY and AUDIT_PREVIOUS_KEYS that it was written with, or say --skip-verification."
        )
    after = {"taken_at": said.taken_at, "version": said.version, "sha256": said.content.sha256}
    try:
        with session.begin_nested():
            recorder.record(session, "backup:restore", at=at, actor_id=None, after=after)
            session.execute(select(1))  # the event goes with it
    except IntegrityError:
        if fault is None:
            raise
        # a broken chain takes no event: the operator is told of the fault, and has the hours
    return fault


def _fault(session: Session, on_progress: Callable[[int, int], None]) -> str | None:
    try:
        verification.verify(session, [], on_progress=on_progress)
    except BrokenRecord as fault:
        return str(fault)  # not the error: its frames keep a cursor open
    return None
