"""Verification of locked timesheets: their digests against the entries, and entries that somebody added by SQL.

The audit log proves the digest of a timesheet, because every submission and approval has it in its event. The trigger
on entries cannot see an entry that is inserted into a locked period.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select

from app.core.database.session import Session
from app.models.tables import ENTRY, TIMESHEET
from app.services.audit.stored_rows import read_rows
from app.services.period_locks import LOCKED, day_of
from app.services.timesheets import contents

MAX_NAMED_FAULTS = 20
_SHEET_COLUMNS = tuple(TIMESHEET.c["user_id", "first_day", "last_day", "status", "digest", "id"])
_ENTRY_COLUMNS = tuple(
    ENTRY.c["user_id", "start_time", "id", "project_id", "end_time", "time_zone", "description", "timesheet_id"]
)
_SHEET_ORDER = tuple(TIMESHEET.c["user_id", "first_day"])
_ENTRY_ORDER = tuple(ENTRY.c["user_id", "start_time", "id"])


@dataclass(slots=True)
class Verification:
    """The number of locked timesheets, and the faults: their number, and the first of them as sentences."""

    sheets: int = 0
    faults: int = 0
    named_faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        self.faults += 1
        if len(self.named_faults) < MAX_NAMED_FAULTS:
            self.named_faults.append(fault)


def verify(session: Session) -> Verification:
    """Compare the entries of all users with their timesheets, in two ordered scans."""
    result = Verification()
    # Entries of a user without timesheets are read too: SQL may have given them the timesheet of somebody else.
    has_timesheets = ENTRY.c.user_id.in_(select(TIMESHEET.c.user_id)) | ENTRY.c.timesheet_id.is_not(None)
    with (
        closing(read_rows(session, TIMESHEET, _SHEET_COLUMNS, _SHEET_ORDER)) as sheet_rows,
        closing(read_rows(session, ENTRY, _ENTRY_COLUMNS, _ENTRY_ORDER, has_timesheets)) as entry_rows,
    ):
        sheets_by_user = groupby(sheet_rows, key=lambda row: row.user_id)
        next_sheets = _take(sheets_by_user)
        for user_id, entries in groupby(entry_rows, key=lambda row: row.user_id):
            while next_sheets is not None and next_sheets[0] < user_id:
                _verify_user(result, next_sheets[1], iter(()))
                next_sheets = _take(sheets_by_user)
            sheets: list[Row[Any]] = []
            if next_sheets is not None and next_sheets[0] == user_id:
                sheets, next_sheets = next_sheets[1], _take(sheets_by_user)
            _verify_user(result, sheets, entries)
        while next_sheets is not None:
            _verify_user(result, next_sheets[1], iter(()))
            next_sheets = _take(sheets_by_user)
    return result


def _take(sheets_by_user: "groupby[Any, Row[Any]]") -> tuple[int, list[Row[Any]]] | None:
    for user_id, rows in sheets_by_user:
        return user_id, list(rows)
    return None


def _verify_user(result: Verification, sheets: list[Row[Any]], entries: Iterator[Row[Any]]) -> None:
    """Compare the entries of one user, ordered by start, with the user's timesheets.

    Entries in another time zone may start on an earlier day than an entry before them, so those of a timesheet are kept
    until all are read.
    """
    locked = [sheet for sheet in sheets if sheet.status in LOCKED]
    contained: dict[date, list[Row[Any]]] = {sheet.first_day: [] for sheet in locked}
    for entry in entries:
        day = day_of(entry.start_time, entry.time_zone)
        sheet = next((sheet for sheet in locked if sheet.first_day <= day <= sheet.last_day), None)
        expected = None if sheet is None else sheet.id
        if entry.timesheet_id != expected:
            where = "no locked timesheet" if sheet is None else f"the timesheet from {sheet.first_day}"
            result.add(
                f"time_entry {entry.id} of user {entry.user_id} starts in {where}, but has timesheet_id "
                f"{entry.timesheet_id}."
            )
        if sheet is not None:
            contained[sheet.first_day].append(entry)
    for sheet in locked:
        result.sheets += 1
        found = contents.digest(sheet.user_id, sheet.first_day, sheet.last_day, contained[sheet.first_day])
        if found != sheet.digest:
            result.add(
                f"The timesheet of user {sheet.user_id} from {sheet.first_day} has other entries than its digest."
            )
