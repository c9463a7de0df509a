"""The number of statements of actions on many timesheets."""

from datetime import date

import pytest

from app.schemas.timesheets.timesheet import TimesheetKey, TimesheetsApprove
from app.services.timesheets import approvals
from app.services.timesheets.cases import TimesheetName
from tests.services.timesheets.conftest import APRIL
from tests.support.credentials import create_claims
from tests.support.query_counter import capture_statements_of

WRITES = "UPDATE", "INSERT"
"""On PostgreSQL they are sent together with the next statement."""


@pytest.fixture
def reads_of_approval(database, monthly, ada):
    """Return a function that submits months of users, approves them in one request, and returns its reads."""

    def approve(users, months):
        keys = [TimesheetKey(user_id=user.id, first_day=date(2024, month, 1)) for user in users for month in months]
        for user, key in zip([user for user in users for _ in months], keys, strict=True):
            with database.write_transaction("request-1") as session:
                name = TimesheetName(user.id, key.first_day)
                approvals.submit(session, create_claims(database, user), name, reason=None, at=APRIL)
        claims, data = create_claims(database, ada), TimesheetsApprove(timesheets=keys)
        with (
            database.write_transaction("request-2") as session,
            capture_statements_of(database.engine) as statements,
        ):
            approved = approvals.approve_many(session, claims, data, at=APRIL)
        assert [sheet.status for sheet in approved] == ["approved"] * len(keys)
        return [statement for statement in statements if not statement.startswith(WRITES)]

    return approve


def test_the_timesheets_of_a_bulk_approval_are_read_together(reads_of_approval, people, ana, bob):
    one = reads_of_approval([ana], [1])
    twelve = reads_of_approval([bob], range(1, 13))

    assert len(twelve) == len(one)


def test_at_most_the_head_of_a_chain_is_read_for_each_user(reads_of_approval, people, ana):
    one = reads_of_approval([ana], [1])
    ten = reads_of_approval([people.employee(f"Person {number}") for number in range(10)], [1, 2])

    assert len(ten) <= len(one) + 9
