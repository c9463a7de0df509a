"""The caller's own month, which is built without models, has the same JSON as with models."""

import json
from datetime import date

import pytest

from app.models.tables import ENTRY
from app.models.users import Role
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.services.access.actor import Actor
from app.services.calendar.periods import Period
from app.services.time_entries import entries, own_month
from tests.support.factories import instant

NOW = instant("2026-03-10 12:00")
HOSTILE = ['say "so"', "back\\slash", "two\nlines\tand a tab", "Zoë 漢字 🙂", "</script>", "\u2028", ""]


@pytest.fixture
def ana(database, people):
    user = people.employee("Ana", time_zone="Pacific/Kiritimati")  # UTC+14: local days begin 14 hours before UTC days
    projects = people.project('The "W"'), people.project("Over", is_active=False)
    for day, text in enumerate(HOSTILE, start=1):
        start, end = f"2026-03-{day:02} 08:00", f"2026-03-{day:02} 09:30"
        people.entry(user, projects[day % 2], start, end, description=text)
    people.entry(user, projects[0], "2026-03-08 08:00", None)  # open for longer than STALE_ENTRY_HOURS
    return Actor(id=user.id, role=Role.employee, time_zone=user.time_zone)


def test_the_answer_is_what_the_models_would_have_written(database, ana):
    period = Period(date(2026, 3, 1), date(2026, 3, 31))
    with database.read_transaction() as session:
        json_entries = list(own_month.month_rows(session, ana, period, at=NOW))
        rows = session.execute(
            entries.ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == ana.id).order_by(ENTRY.c.start_time.desc())
        ).all()
        models = [entries.as_response_with_project(session, row, now=NOW) for row in rows]

    assert json_entries == [json.loads(model.model_dump_json()) for model in models]
    assert [list(entry) for entry in json_entries] == [list(TimeEntryWithProject.model_fields)] * len(models)
    assert [entry["needs_review"] for entry in json_entries] == [True] + [False] * len(HOSTILE)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [(None, 2, 2), (None, 1, 0), ("UTC", 1, 2), ("Pacific/Kiritimati", 1, 0), ("Etc/GMT+12", 1, 1)],
)
def test_an_entry_is_there_on_its_local_day_alone(database, people, zone, day, expected):
    """10:00 and 22:00 UTC of 1 March are midnight and noon of the 2nd in Kiritimati."""
    user, project = people.employee("Ben", time_zone="Pacific/Kiritimati"), people.project("W")
    people.entry(user, project, "2026-03-01 10:00", "2026-03-01 10:30")
    people.entry(user, project, "2026-03-01 22:00", "2026-03-01 23:00")
    actor = Actor(id=user.id, role=Role.employee, time_zone=user.time_zone)

    with database.read_transaction() as session:
        period = Period(date(2026, 3, day), date(2026, 3, day), zone)
        assert len(list(own_month.month_rows(session, actor, period, at=NOW))) == expected
