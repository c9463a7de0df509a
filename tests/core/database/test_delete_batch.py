"""Deleting a bounded number of rows, whatever plan the database chooses."""

import pytest
from sqlalchemy import func, insert, select, text

from app.core.database.dialect import delete_batch
from app.core.time.clock import utc_now
from app.models.tables import FAILED_LOGIN, IDEMPOTENCY_KEY
from tests.support.databases import POSTGRESQL

PLANS = ("hashjoin", "mergejoin", "hashagg", "sort", "material")
"""Without these, PostgreSQL runs a subquery again for each row, as it may for a table without statistics."""


@pytest.fixture
def rows(database, people):
    """Thirty rows in a table with a simple key, and thirty in one with a composite key."""
    ana, now = people.employee("Ana"), utc_now()
    with database.write_transaction() as session:
        logins = [{"account": f"{number}", "address": "127.0.0.1", "at": now} for number in range(30)]
        session.execute(insert(FAILED_LOGIN), logins)
        stored = {"user_id": ana.id, "fingerprint": "f", "answer": "{}", "created_at": now}
        session.execute(insert(IDEMPOTENCY_KEY), [stored | {"key": f"{number}"} for number in range(30)])


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "due",
    [
        pytest.param(select(FAILED_LOGIN.c.id).order_by(FAILED_LOGIN.c.at), id="simple key"),
        pytest.param(
            select(IDEMPOTENCY_KEY.c.user_id, IDEMPOTENCY_KEY.c.key).order_by(IDEMPOTENCY_KEY.c.created_at),
            id="composite key",
        ),
    ],
)
def test_a_batch_never_deletes_more_rows_than_its_size(database, engine, due):
    (table,) = due.get_final_froms()
    with database.write_transaction() as session:
        if engine == POSTGRESQL:
            for plan in PLANS:
                session.execute(text(f"SET LOCAL enable_{plan} = off"))

        session.execute(delete_batch(due, 20))

        assert session.execute(select(func.count()).select_from(table)).scalar_one() == 10
