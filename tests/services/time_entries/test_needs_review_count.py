"""The count of entries that need review, which precedes the first byte of an export, does not scan the period."""

from datetime import date

import pytest
from sqlalchemy import event, text, true

from app.schemas.reports.report import Attribution
from app.services.calendar.periods import Period, resolve
from app.services.time_entries.columns import EntryRows
from tests.support.factories import instant

NOW = instant("2026-03-31 12:00")


@pytest.mark.parametrize("attribution", Attribution)
def test_the_count_finds_flagged_and_open_entries_by_their_indexes(database, people, ana, website, attribution):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 16:00")
    people.entry(ana, website, "2026-03-05 08:00", "2026-03-08 08:00", needs_review=True)
    people.entry(people.employee("Ben"), website, "2026-03-09 08:00", None, needs_review=True)
    people.entry(people.employee("Cem"), website, "2026-03-10 08:00", None)
    statements = []

    with database.read_transaction() as session:
        if not session.settings.is_sqlite:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # four rows are faster to read without an index
        period = resolve(session, Period(date(2026, 3, 1), date(2026, 3, 31)), true())
        rows = EntryRows(session, period, attribution, true(), at=NOW)
        event.listen(session.get_bind(), "before_cursor_execute", lambda *each: statements.append(each[2:4]))
        assert rows.count_needing_review() == 3
        ((count, params),) = statements
        explain = "EXPLAIN QUERY PLAN" if session.settings.is_sqlite else "EXPLAIN"
        plan = "\n".join(row[-1] for row in session.connection().exec_driver_sql(f"{explain} {count}", params))

    assert {"ix_time_entry_needs_review", "uq_time_entry_one_open_per_user"} <= set(plan.split())
