"""The migration that compares domains by IDNA 2008, and the part before the @ in lower case."""

import pytest
from sqlalchemy import select, update

from app.core.database.migrations import UnusableDatabase, migrate
from app.models.tables import USER
from app.services.audit.verification import verify
from tests.support.migrations import run_alembic

BEFORE, KEYS = "2026_11_30_wrong_codes", "2026_11_30_email_keys"
OF_0_10 = {
    "Ana@example.com": "ana@example.com",
    "jo@münchen.de": "jo@münchen.de",
    "info@straße.de": "info@strasse.de",
    "νίκος@example.gr": "νίκοσ@example.gr",
}
OF_0_11 = OF_0_10 | {"info@straße.de": "info@straße.de", "νίκος@example.gr": "νίκος@example.gr"}


@pytest.fixture
def staff(people, database):
    """Four users with the keys of version 0.10."""
    users = {email: people.employee(f"User {number}", email=email) for number, email in enumerate(OF_0_10)}
    run_alembic(database, "downgrade", BEFORE)
    return users


def keys(database):
    with database.read_transaction() as session:
        return {row.email: row.email_key for row in session.execute(select(USER.c.email, USER.c.email_key))}


def test_only_addresses_with_a_letter_that_case_folding_replaces_get_another_key(database, staff):
    assert keys(database) == OF_0_10

    run_alembic(database, "upgrade", KEYS)

    assert keys(database) == OF_0_11


def test_two_users_who_would_get_one_key_are_named_and_nothing_changes(database, staff):
    ana, jo = staff["Ana@example.com"], staff["jo@münchen.de"]
    with database.write_transaction() as session:  # the service stores no domain like this
        raw = {"email": "jo@xn--mnchen-3ya.de", "email_key": "jo@xn--mnchen-3ya.de"}
        session.execute(update(USER).where(USER.c.id == ana.id).values(raw))
    before = keys(database)

    with pytest.raises(UnusableDatabase) as refusal:
        migrate(database, KEYS)

    assert f"jo@xn--mnchen-3ya.de (user {ana.id}) and jo@münchen.de (user {jo.id})" in str(refusal.value)
    assert keys(database) == before


def test_keys_that_workers_of_0_10_write_meanwhile_are_no_fault_of_the_audit_log(database, people):
    ina = people.employee("Ina", email="info@straße.de")
    with database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == ina.id).values(email_key="info@strasse.de"))

    with database.read_transaction() as session:
        verify(session, [], on_progress=lambda done, total: None)
