"""Values that SQLite stores although a column is meant for others: `verify-audit` names each of them."""

from typing import Any

import pytest
from sqlalchemy import Boolean, Column, select, text

from app.core.database.session import Session
from app.services.audit.stored_rows import AuditChainBroken
from tests.services.audit.test_reconciliation import COVERED, reconcile, without_constraints
from tests.support.audit_tampering import values_of_other_type
from tests.support.databases import SQLITE

pytestmark = pytest.mark.parametrize("engine", [SQLITE])
FLAGS = ["2", "-1", "0.5", "'true'", "x'01'", "x'31'"]


@pytest.mark.parametrize("table", COVERED, ids=lambda table: table.name)
def test_a_value_that_is_not_meant_for_its_column_is_named(company, database, table):
    with database.write_transaction() as session:
        without_constraints(session, SQLITE)
        row = session.execute(select(table).order_by(text("rowid"))).first()
        missed = [
            (name, value)
            for name in sorted(COVERED[table])
            for value in unsuitable_values(table.c[name], getattr(row, name))
            if not is_named(session, table.name, name, value)
        ]

    assert missed == []


def test_an_admin_whose_flag_is_2_is_named(company, database, run_command):
    with database.write_transaction() as session:
        session.execute(text('UPDATE "user" SET is_active = 2 WHERE id = :id'), {"id": company["Mia"]})

    verified = run_command("verify-audit")

    assert verified.exit_code == 1
    assert f"user {company['Mia']} was changed in is_active without an event." in verified.stderr


def unsuitable_values(column: Column[Any], value: Any) -> list[str]:
    """Return SQL for values that a column of this type accepts on SQLite only. A row id is always an integer."""
    is_row_id = list(column.table.primary_key) == [column]
    wrong = FLAGS if isinstance(column.type, Boolean) else values_of_other_type(column, value)
    return ["4611686018427387904"] if is_row_id else wrong


def is_named(session: Session, table: str, column: str, value: str) -> bool:
    """Return True if the value is found in the first row of the table. The change is undone."""
    with session.begin_nested() as savepoint:
        first = f'SELECT min(rowid) FROM "{table}"'
        session.execute(text(f'UPDATE "{table}" SET {column} = {value} WHERE rowid = ({first})'))
        try:
            found = reconcile(session).named_faults
        except AuditChainBroken as unreadable:
            found = [str(unreadable)]
        savepoint.rollback()
    return any(table in fault for fault in found)
