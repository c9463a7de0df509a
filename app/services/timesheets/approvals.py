"""The actions on a timesheet: submit, withdraw, approve, reject, reopen.

Each locks the user concerned, so that of several at once the first one decides. A submitted or approved timesheet locks
its entries: they carry its id, and a trigger refuses their change.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, update

from app.core.database.session import Session
from app.core.errors import DomainError
from app.core.security.access_tokens import Claims
from app.models.tables import ENTRY, TIMESHEET, USER
from app.models.timesheets import TimesheetStatus
from app.models.users import Role
from app.schemas.timesheets.timesheet import TimesheetAction, TimesheetKey, TimesheetRead, TimesheetsApprove
from app.services.access import visibility
from app.services.access.authentication import require_role
from app.services.audit import recorder
from app.services.time_entries.errors import BulkRejected, ReasonRequired
from app.services.timesheets import cases, contents, sheets
from app.services.timesheets.cases import Case, Cases, TimesheetName
from app.services.timesheets.contents import Contents
from app.services.timesheets.errors import TimesheetNotOver, TimesheetNotSubmittable
from app.services.timesheets.queries import as_responses
from app.services.timesheets.sheets import Owner, SheetValues

_NOT_IN_EVENTS = {"id", "user_id", "comment"}
"""The event has the id and the user, and the comment as its reason, which can be erased."""
AUDITED_FIELDS = tuple(column.name for column in TIMESHEET.c if column.name not in _NOT_IN_EVENTS)
_UNLOCKED: dict[str, Any] = {"total_seconds": None, "entries": None, "digest": None, "digest_version": None}
_UPDATE = (
    update(TIMESHEET)
    .where(TIMESHEET.c.id == bindparam("new_id"))
    .values({column: bindparam(f"new_{column.name}") for column in TIMESHEET.c if column.name != "id"})
)
_S = TimesheetStatus


def submit(session: Session, claims: Claims, name: TimesheetName, *, reason: str | None, at: datetime) -> TimesheetRead:
    """Lock the period's entries, and store their sum and digest. Whoever decides submits for others, with a reason.

    If nobody else could decide, the timesheet is approved at once, unless an API token submits it.

    Raises UserNotFound, TimesheetNotFound, TimesheetChanged, TimesheetStatusConflict, ReasonRequired. Raises
    TimesheetNotOver until a minute after the period, or for a deactivated user until it begins. Raises
    TimesheetNotSubmittable if an entry is open or needs review.
    """
    case = cases.begin(session, claims, name, "submit", at=at)
    return _respond(case, submit_case(case, reason=reason))


def withdraw(session: Session, claims: Claims, name: TimesheetName, *, at: datetime) -> TimesheetRead:
    """Take back the actor's own submission, and unlock the entries.

    Raises UserNotFound, TimesheetNotFound, TimesheetChanged, NotYourTimesheet, TimesheetStatusConflict.
    """
    case = cases.begin(session, claims, name, "withdraw", at=at)
    return _respond(case, _unlock(case, "withdraw", {"status": _S.open}))


def approve(
    session: Session, claims: Claims, name: TimesheetName, *, comment: str | None, at: datetime
) -> TimesheetRead:
    """Approve a submitted timesheet. Its entries stay locked.

    Raises UserNotFound, TimesheetNotFound, TimesheetChanged, OwnTimesheet, TimesheetStatusConflict.
    """
    case = cases.begin(session, claims, name, "approve", at=at)
    return _respond(case, approve_case(case, comment))


def reject(session: Session, claims: Claims, name: TimesheetName, *, comment: str, at: datetime) -> TimesheetRead:
    """Return a submitted timesheet to its user, who may then correct its entries. Raises what `approve` raises."""
    case = cases.begin(session, claims, name, "reject", at=at)
    return _respond(case, reject_case(case, comment))


def reopen(session: Session, claims: Claims, name: TimesheetName, *, reason: str, at: datetime) -> TimesheetRead:
    """Return an approved timesheet to its user, who may then correct its entries. Raises what `approve` raises."""
    case = cases.begin(session, claims, name, "reopen", at=at)
    changes = _decision(case, reason) | {"status": _S.open, "returned_at": at}
    return _respond(case, _unlock(case, "reopen", changes, reason=reason))


def approve_many(session: Session, claims: Claims, data: TimesheetsApprove, *, at: datetime) -> list[TimesheetRead]:
    """Approve submitted timesheets, all or none.

    Raises RoleRequired. Raises BulkRejected with the index and error of every rejected one.
    """
    is_concerned = USER.c.id.in_({key.user_id for key in data.timesheets})
    actor, visible = visibility.lock_visible(session, claims, is_concerned)
    require_role(actor, Role.manager, Role.admin)
    names = [_name_of(key) for key in data.timesheets]
    found = Cases(session, actor, visible, names, at=at)
    approved: list[tuple[SheetValues, Owner]] = []
    rejected: list[dict[str, Any]] = []
    for index, name in enumerate(names):
        try:
            case = found.find(name)
            cases.check_action(case, "approve")
            approved.append((approve_case(case, data.comment), case.owner))
            found.replace(approved[-1][0])
        except DomainError as error:
            rejected.append({"loc": ["body", "timesheets", index], "message": error.detail, "type": error.code})
    if rejected:
        raise BulkRejected(
            f"{len(rejected)} of {len(data.timesheets)} operations were rejected, so none was applied. See `errors`.",
            errors=rejected,
        )
    return as_responses(session, actor, found.rules, approved, at=at)


def submit_case(case: Case, *, reason: str | None) -> SheetValues:
    """Submit the timesheet of a case, whose action is checked. Raises what `submit` raises of the period."""
    if not case.is_own and reason is None:
        raise ReasonRequired("This timesheet is another user's. Send a `reason`.")
    if not sheets.is_over(case.sheet, case.owner, at=case.at):
        raise TimesheetNotOver(
            f"The period ends on {case.sheet['last_day']} in {case.owner.time_zone}. Submit it a minute after that day."
        )
    found = contents.load(case.session, case.owner.id, case.sheet["first_day"], case.sheet["last_day"], at=case.at)
    _check_submittable(found)
    decided: dict[str, Any] = {"status": _S.submitted, "decided_at": None, "decided_by": None}
    note = None
    may_decide = not case.actor.uses_api_token  # of API tokens, only those with the scope `admin` decide
    if may_decide and visibility.is_without_decider(case.session, case.owner.id):
        decided = {"status": _S.approved, "decided_at": case.at, "decided_by": None, "returned_at": None}
        note = {"by": "nobody else could"}
    locked = {
        "total_seconds": found.total_seconds,
        "entries": found.entries,
        "digest": found.digest,
        "digest_version": contents.DIGEST_VERSION,
        "submitted_at": case.at,
        "submitted_by": case.actor.id,
        "comment": None,
    }
    changed = _write(case, "submit", locked | decided, reason=reason, note=note)
    case.session.execute(update(ENTRY).where(found.is_included).values(timesheet_id=changed["id"]))
    return changed


def approve_case(case: Case, comment: str | None) -> SheetValues:
    """Approve the timesheet of a case, whose action is checked."""
    changes = _decision(case, comment) | {"status": _S.approved, "returned_at": None}
    return _write(case, "approve", changes, reason=comment)


def reject_case(case: Case, comment: str) -> SheetValues:
    """Return the timesheet of a case, whose action is checked, to its user."""
    changes = _decision(case, comment) | {"status": _S.rejected, "returned_at": case.at}
    return _unlock(case, "reject", changes, reason=comment)


def _name_of(key: TimesheetKey) -> TimesheetName:
    return TimesheetName(key.user_id, key.first_day, None if key.version is None else frozenset({key.version}))


def _check_submittable(found: Contents) -> None:
    if not found.blocking:
        return
    sentences = {
        "open": "The entry is open. Clock out, or correct it.",
        "needs_review": "The entry needs review. Correct it, or send needs_review: false.",
    }
    raise TimesheetNotSubmittable(
        f"Entries that are open or need review: {len(found.blocking)}. See `errors`.",
        errors=[
            {"loc": ["entry", entry.entry_id], "message": sentences[entry.reason], "type": entry.reason}
            for entry in found.blocking[: contents.MAX_NAMED_ENTRIES]
        ],
    )


def _decision(case: Case, comment: str | None) -> dict[str, Any]:
    """Return who decided and when. `decided_by` is None if nobody else could decide on the actor's own hours."""
    decided_by = None if case.is_own else case.actor.id
    return {"decided_at": case.at, "decided_by": decided_by, "comment": comment}


def _unlock(case: Case, action: TimesheetAction, changes: dict[str, Any], *, reason: str | None = None) -> SheetValues:
    """Unlock the entries and write the changes. The trigger allows no other change of a locked entry."""
    days = case.sheet["first_day"], case.sheet["last_day"]
    is_included = contents.in_days(case.session, case.owner.id, *days)
    is_locked = ENTRY.c.timesheet_id == case.sheet["id"]
    case.session.execute(update(ENTRY).where(is_included, is_locked).values(timesheet_id=None))
    return _write(case, action, _UNLOCKED | changes, reason=reason)


def _write(
    case: Case,
    action: TimesheetAction,
    changes: dict[str, Any],
    *,
    reason: str | None,
    note: dict[str, Any] | None = None,
) -> SheetValues:
    """Write the row and the event, and return the new values."""
    before = case.sheet
    after = before | changes | {"version": before["version"] + 1}
    if before["id"] is None:
        row = {column: value for column, value in after.items() if column != "id"}
        after["id"] = case.session.execute(insert(TIMESHEET).values(row).returning(TIMESHEET.c.id)).scalar_one()
    else:
        case.session.execute_later(_UPDATE, {f"new_{name}": value for name, value in after.items()})
    recorder.record(
        case.session,
        f"timesheet:{action}",
        at=case.at,
        actor_id=case.actor.id,
        subject_id=case.owner.id,
        object_id=after["id"],
        before=None if before["id"] is None else _snapshot(before),
        after=_snapshot(after) | (note or {}),
        reason=reason,
    )
    return after


def _snapshot(sheet: SheetValues) -> recorder.Fields:
    return {name: sheet[name] for name in AUDITED_FIELDS}


def _respond(case: Case, sheet: SheetValues) -> TimesheetRead:
    (response,) = as_responses(case.session, case.actor, case.rules, [(sheet, case.owner)], at=case.at)
    return response
