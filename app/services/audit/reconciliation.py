"""Comparison of the rows with the audit log: what SQL added, changed or deleted behind the service.

One chain at a time is replayed in memory. The rows of each table are read once, in the order of the chains.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, ColumnElement, Integer, Row, Table, select, type_coerce, union

from app.core.database.session import Session
from app.models.tables import (
    API_TOKEN,
    ENTRY,
    LOGIN_SESSION,
    PASSWORD_LINK,
    PAYROLL_LOCK,
    PROJECT,
    PROJECT_MEMBER,
    RECOVERY_CODE,
    SECOND_FACTOR,
    TIME_ZONE,
    TIMESHEET,
    TIMESHEET_RULE,
    USER,
)
from app.services.audit.overlaps import OverlapFinder
from app.services.audit.recorder import ORGANISATION_CHAIN, SECRET_FIELDS, Fields, to_json_value
from app.services.audit.replay import ChainReplay, describe
from app.services.audit.replay_effects import ObjectKey
from app.services.audit.session_expiry import is_prolonged
from app.services.audit.stored_rows import read_rows
from app.services.calendar.periods import find_unknown_zones

MAX_NAMED_FAULTS = 20
_TableKeys = tuple[Any, ...]
"""A table, the column of the user whose chain describes the row (None for chain 0), its id, and the order by it."""
_NOT_IN_EVENTS = {
    API_TOKEN: {"last_used_at"},
    SECOND_FACTOR: {"last_step", "wrong_codes"},
    LOGIN_SESSION: {column.name for column in LOGIN_SESSION.c} - {"created_at"},
    ENTRY: {"timesheet_id"},
    TIMESHEET: {"comment"},
}
"""Columns that no event holds: times and counts that are no change, and what a refresh of a login session changes.

Locking is no change of an entry: `timesheets.verification` compares it. The comment of a timesheet is the reason of its
event, where it can be erased.
"""
_ALSO_READ = {LOGIN_SESSION: {"refreshed_at", "expires_at"}}
"""Columns that are not compared with the same value in an event."""
_MAY_BE_MISSING = {LOGIN_SESSION.name, RECOVERY_CODE.name}
"""Tables whose rows end without an event: expired login sessions, and recovery codes that a worker of 0.9 accepts.

A missing row gives nobody access.
"""

_TABLES_OF_TIMESHEETS: tuple[_TableKeys, ...] = (
    (ENTRY, ENTRY.c.user_id, ENTRY.c.id, ENTRY.c.start_time),  # in the order of an index
    (USER, USER.c.id, USER.c.id),
)
_OTHER_TABLES: tuple[_TableKeys, ...] = (
    (PROJECT, None, PROJECT.c.id),
    (PROJECT_MEMBER, PROJECT_MEMBER.c.user_id, PROJECT_MEMBER.c.project_id),
    (API_TOKEN, API_TOKEN.c.user_id, API_TOKEN.c.id),
    (SECOND_FACTOR, SECOND_FACTOR.c.user_id, SECOND_FACTOR.c.user_id),
    (PASSWORD_LINK, PASSWORD_LINK.c.user_id, PASSWORD_LINK.c.user_id),
    (RECOVERY_CODE, RECOVERY_CODE.c.user_id, RECOVERY_CODE.c.code_hash),
    (LOGIN_SESSION, LOGIN_SESSION.c.user_id, LOGIN_SESSION.c.id),
    (TIMESHEET, TIMESHEET.c.user_id, TIMESHEET.c.id),
    (TIMESHEET_RULE, None, TIMESHEET_RULE.c.valid_from),
    (PAYROLL_LOCK, None, PAYROLL_LOCK.c.name),
)

_NAMED_ZONES = union(select(ENTRY.c.time_zone), select(USER.c.time_zone)).subquery()
_MISSING_ZONES = (
    select(_NAMED_ZONES.c.time_zone)
    .where(_NAMED_ZONES.c.time_zone.not_in(select(TIME_ZONE.c.name)))
    .order_by(_NAMED_ZONES.c.time_zone)
)
"""Reports read the zones of entries from a table, which no event describes."""


class Uncovered(NamedTuple):
    """Columns of a row that no event holds. `owner` is the chain that describes the row, and `key` its id column."""

    key: Column[Any]
    owner: int
    object_id: int | str
    columns: tuple[str, ...]


class Reconciliation:
    """Comparison with the rows during a verification. Close it, because it keeps cursors open.

    `named_faults` has the first faults, and `uncovered` counts the values that no event holds, by column.
    `on_uncovered` is called for each row with such values. `on_fault` is called for each fault, with its object, the
    expected values and the row, as far as they exist. With `user_id`, only this user and their entries are compared,
    and no overlaps are searched for.
    """

    def __init__(
        self,
        session: Session,
        *,
        user_id: int | None = None,
        on_uncovered: Callable[[Uncovered], None] | None = None,
        on_fault: Callable[[ObjectKey, Fields, Fields], None] | None = None,
    ) -> None:
        self._session, self._keys = session, session.keyring.audit_keys
        self._on_uncovered, self._on_fault = on_uncovered, on_fault
        self.faults = 0
        self.named_faults: list[str] = []
        self.uncovered: Counter[str] = Counter()
        self._resources = ExitStack()
        tables = _TABLES_OF_TIMESHEETS if user_id is not None else (*_TABLES_OF_TIMESHEETS, *_OTHER_TABLES)
        self._tables = [
            _TableReader(session, self._resources, table, owner, *key, user_id=user_id) for table, owner, *key in tables
        ]
        self._compared = {table.name for table in self._tables}
        self._overlaps = OverlapFinder() if user_id is None else None

    def close(self) -> None:
        """Close the cursors."""
        self._resources.close()

    def follow(self, chain_id: int, events: Iterable[Row[Any]]) -> Iterator[Row[Any]]:
        """Yield the events of a chain, and compare the rows with them afterwards. Chains come in the order of ids.

        An event is replayed when the next one is requested, so the caller has verified it by then.
        """
        replay = ChainReplay(chain_id)
        for event in events:
            yield event
            replay.apply(event)
        for key, conflict in replay.conflicts:
            self._add_fault(conflict, key, replay.objects.get(key))
        self._compare_rows(chain_id, replay.objects)
        for key in replay.objects:
            if key[0] in self._compared - _MAY_BE_MISSING:
                self._add_fault(f"{describe(key, chain_id)} was deleted without an event.", key, replay.objects[key])

    def finish(self) -> None:
        """Count as faults the remaining rows, because their users have no chain, and the zones that have no row."""
        self._compare_rows(math.inf, {})
        for zone in self._session.scalars(_MISSING_ZONES):
            self._add_fault(f"time_zone {zone} is missing. Hours in it are left out of reports.")
        for zone in find_unknown_zones(self._session):
            self._add_fault(f"time_zone {zone} is not a time zone. Hours in it are left out of reports.")

    def _compare_rows(self, last_owner: float, expected: dict[ObjectKey, Fields]) -> None:
        """Compare the rows up to those of this owner, and remove their objects from `expected`."""
        for table in self._tables:
            for owner, object_id, row in table.rows_until(last_owner):
                if table.name == ENTRY.name and self._overlaps and (overlap := self._overlaps.find(owner, row)):
                    self._add_fault(overlap)
                key = self._key_of(table, object_id, expected)
                state = expected.pop(key, None) if owner == last_owner else None
                if state is not None:
                    self._note_uncovered(table, owner, row, [name for name in table.compared if name not in state])
                    if differing := self._differences(table, row, state):
                        changed = f"{describe(key, owner)} was changed in {', '.join(differing)} without an event."
                        self._add_fault(changed, key, state, row)
                elif owner == last_owner and self._may_be_unnamed(table, row, expected):
                    self._note_uncovered(table, owner, row, table.compared or [table.key.name])
                else:
                    self._add_fault(f"{describe(key, owner)} was added without an event.", key, None, row)

    def _key_of(self, table: "_TableReader", object_id: Any, expected: dict[ObjectKey, Fields]) -> ObjectKey:
        """Return what identifies the row in `expected`. For a secret that is its MAC, with any of the keys."""
        if table.key.name in SECRET_FIELDS and isinstance(object_id, str):
            for mac in self._keys.macs_of_secret(table.key.name, object_id):
                if (table.name, mac) in expected:
                    return table.name, mac
        return table.name, to_json_value(object_id)

    def _may_be_unnamed(self, table: "_TableReader", row: Row[Any], expected: dict[ObjectKey, Fields]) -> bool:
        """Return True if an event of an earlier version may have added the row without its id."""
        state = expected.get((table.name, None))
        return state is not None and not self._differences(table, row, state)

    def _note_uncovered(self, table: "_TableReader", owner: int, row: Row[Any], names: Sequence[str]) -> None:
        if not names:
            return
        self.uncovered.update(f"{table.name}.{name}" for name in names)
        if self._on_uncovered is not None:
            self._on_uncovered(Uncovered(table.key, owner, getattr(row, table.key.name), tuple(names)))

    def _differences(self, table: "_TableReader", row: Row[Any], state: Fields) -> list[str]:
        names = [name for name in table.compared if name in state and not self._agrees(name, row, state[name])]
        if table.name == LOGIN_SESSION.name and is_prolonged(row, state, self._session.settings):
            names.append("expires_at")
        return names

    def _agrees(self, name: str, row: Row[Any], recorded: Any) -> bool:
        value = getattr(row, name)
        if name in SECRET_FIELDS:
            return isinstance(value, str) and self._keys.is_mac_of_secret(str(recorded), name, value)
        return _as_json(value) in _possible_values(recorded)

    def _add_fault(
        self, fault: str, key: ObjectKey | None = None, state: Fields | None = None, row: Row[Any] | None = None
    ) -> None:
        self.faults += 1
        if len(self.named_faults) < MAX_NAMED_FAULTS:
            self.named_faults.append(fault)
        if self._on_fault is not None and key is not None:
            self._on_fault(key, state or {}, {} if row is None else row._asdict())


class _TableReader:
    """Rows of a table by owner, which is the user whose chain describes the row. Without one, it is chain 0."""

    def __init__(
        self,
        session: Session,
        resources: ExitStack,
        table: Table,
        owner: Column[Any] | None,
        key: Column[Any],
        *order: Column[Any],
        user_id: int | None = None,
    ) -> None:
        self.name = table.name
        identity = dict.fromkeys(column for column in (owner, *order, key) if column is not None)
        unaudited = _NOT_IN_EVENTS.get(table, set()) | {key.name} | ({owner.name} if owner is not None else set())
        self.compared = [column.name for column in table.c if column.name not in unaudited]
        read = _ALSO_READ.get(table, set()) | set(self.compared)
        columns = [_raw(column) for column in table.c if column in identity or column.name in read]
        self.key = key
        self._owner = owner.name if owner is not None else None
        of_user = None if user_id is None or owner is None else owner == user_id
        self._rows = resources.enter_context(closing(read_rows(session, table, columns, tuple(identity), of_user)))
        self._next = next(self._rows, None)

    def rows_until(self, last_owner: float) -> Iterator[tuple[Any, Any, Row[Any]]]:
        """Yield the next rows up to those of an owner: their owner, their id, and the row."""
        while (row := self._next) is not None:
            owner = ORGANISATION_CHAIN if self._owner is None else getattr(row, self._owner)
            # SQLite stores text in any column, and sorts it last.
            position = owner if isinstance(owner, int) else math.inf
            if position > last_owner:
                return
            yield owner, getattr(row, self.key.name), row
            self._next = next(self._rows, None)


def _raw(column: Column[Any]) -> ColumnElement[Any]:
    """Return the column, and a flag as SQLite stores it. SQLAlchemy would read 2 as True."""
    return type_coerce(column, Integer).label(column.name) if isinstance(column.type, Boolean) else column


def _possible_values(value: Any) -> Collection[Any]:
    return value if isinstance(value, frozenset) else (value,)


def _as_json(value: Any) -> Any:
    """Convert a value as the recorder does, but keep a fraction of a second, which the service never stores."""
    return value.isoformat() if isinstance(value, datetime) and value.microsecond else to_json_value(value)
