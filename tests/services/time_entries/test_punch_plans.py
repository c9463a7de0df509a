"""A punch on PostgreSQL is planned once per connection, by indexes (decision 47)."""

import pytest
from sqlalchemy import text

from app.schemas.time_entries.clock import ClockIn
from app.services import idempotency
from app.services.time_entries import clock
from tests.support.credentials import create_claims
from tests.support.databases import POSTGRESQL
from tests.support.times import NOW

PREPARED = text("SELECT name, parameter_types::text[], generic_plans, custom_plans FROM pg_prepared_statements")


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_punch_is_planned_once_and_by_indexes_although_the_company_is_new(database, ana, website):
    claims = create_claims(database, ana)
    database.engine.dispose()  # other tests have prepared statements on its connections
    with database.write_transaction() as session:
        clock.clock_in(session, claims, ClockIn(project_id=website.id), switch=False, key="in", at=NOW)
    with database.write_transaction() as session:
        clock.clock_out_open(session, claims, key="out", at=NOW)

    with database.write_transaction() as session:
        statements = session.execute(PREPARED).all()
        plans = [_plan(session, name, types) for name, types, _, _ in statements]

    assert {custom for *_, custom in statements} == {0}
    assert len([plan for plan in plans if plan.startswith(("Update on time_entry", "Insert on"))]) == 4
    assert "Seq Scan" not in "".join(plans)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_the_surplus_keys_of_a_user_are_found_once_for_each_write(database, ana, website):
    """Found for each key of the user again, they would cost somebody with 600 keys some 40 ms a write."""
    claims = create_claims(database, ana)
    database.engine.dispose()
    with database.write_transaction() as session:
        entry = clock.clock_in(session, claims, ClockIn(project_id=website.id), switch=False, at=NOW)
        request = idempotency.for_key("in", "clock-in")
        idempotency.store_response(session, ana.id, request, entry, purge=True, at=NOW)

    with database.write_transaction() as session:
        statements = session.execute(PREPARED).all()
        plans = [_plan(session, name, types) for name, types, _, _ in statements]

    assert len([plan for plan in plans if "CTE surplus" in plan]) == 1


def _plan(session, name, parameter_types):
    arguments = ", ".join(f"NULL::{each}" for each in parameter_types)
    call = f"EXECUTE {name} ({arguments})" if arguments else f"EXECUTE {name}"
    return "\n".join(session.execute(text(f"EXPLAIN {call}")).scalars())
