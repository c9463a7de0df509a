"""The team: a manager looks at the week of a user, corrects it, and reopens an approved timesheet."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.time.clock import utc_now
from app.models.tables import ENTRY
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.system
TODAY = utc_now().date()
MONDAY = TODAY - timedelta(days=TODAY.weekday() + 7)


@pytest.fixture
def newsletter(people, ana, website):
    """Ana worked on Monday morning of last week."""
    return people.entry(ana, website, f"{MONDAY} 08:00", f"{MONDAY} 12:00", description="Newsletter")


@pytest.fixture
def mias_tab(open_tab, mia, newsletter):
    """Mia, Ana's manager, at her team."""
    tab = open_tab("team").log_in(mia.email, PASSWORD)
    tab.page.get_by_role("link", name="Ana Silva").wait_for()
    return tab


def rows(server):
    with server.database.read_transaction() as session:
        return session.execute(select(ENTRY).order_by(ENTRY.c.id)).all()


def test_a_manager_corrects_and_adds_entries_of_a_user_with_a_reason(mias_tab, server, ana):
    mias_tab.page.get_by_role("link", name="Ana Silva").click()
    mias_tab.page.get_by_role("heading", name="Ana Silva").wait_for()
    mias_tab.page.get_by_role("link", name="Earlier").click()
    mias_tab.page.get_by_text("4 h 0 min").wait_for()
    mias_tab.button("Correct: 08:00").click()
    dialog = mias_tab.page.get_by_role("dialog")
    dialog.get_by_label("End").fill(f"{MONDAY}T13:00")
    dialog.get_by_label("Reason").fill("Ana called")
    dialog.get_by_role("button", name="Save").click()
    mias_tab.page.get_by_text("5 h 0 min").wait_for()

    mias_tab.button("Add entry").click()
    dialog.get_by_label("Start").fill(f"{MONDAY}T14:00")
    dialog.get_by_label("End").fill(f"{MONDAY}T15:00")
    dialog.get_by_role("button", name="Save").click()
    assert dialog.get_by_label("Reason").evaluate("input => input.validity.valueMissing")
    dialog.get_by_label("Reason").fill("Ana called again")
    dialog.get_by_role("button", name="Save").click()

    mias_tab.page.get_by_text("6 h 0 min").wait_for()
    assert [row.user_id for row in rows(server)] == [ana.id, ana.id]


@pytest.fixture
def weekly(as_user, people):
    """Timesheets by week, from last week on."""
    as_user(people.admin("Ada")).put(f"/admin/timesheet-rules/{MONDAY}", json={"period": "week"}).raise_for_status()


def test_a_forgotten_clock_out_is_corrected_where_the_manager_sees_it(mias_tab, people, server, ana, website):
    tuesday = MONDAY + timedelta(days=1)
    people.entry(ana, website, f"{tuesday} 08:00", None)
    mias_tab.page.reload()
    mias_tab.page.get_by_role("heading", name="Entries to correct: 1").wait_for()
    mias_tab.page.get_by_text("Running since").wait_for()

    mias_tab.button("Correct: Ana Silva").click()
    dialog = mias_tab.page.get_by_role("dialog")
    dialog.get_by_label("End").fill(f"{tuesday}T16:00")
    dialog.get_by_label("Reason").fill("Ana called")
    dialog.get_by_role("button", name="Save").click()

    mias_tab.page.get_by_role("heading", name="Entries to correct").wait_for(state="detached")
    assert rows(server)[1].end_time.isoformat().startswith(f"{tuesday}T16:00")


def test_a_manager_submits_the_week_of_a_user_with_a_reason_and_approves_it(weekly, mias_tab, server):
    mias_tab.page.reload()
    mias_tab.page.get_by_text("Timesheets not submitted: 1").click()
    mias_tab.page.get_by_role("link", name="Ana Silva").first.click()
    mias_tab.button("Submit: Ana Silva").click()
    mias_tab.page.get_by_label("Reason").fill("Ana is ill")
    mias_tab.page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    mias_tab.button("Return: Ana Silva").wait_for()

    mias_tab.button("Approve").click()

    mias_tab.page.get_by_text("Approved", exact=True).wait_for()
    assert rows(server)[0].timesheet_id is not None


def test_a_week_with_an_open_question_is_not_offered_for_submission(weekly, mias_tab, people, ana, website):
    people.entry(ana, website, f"{MONDAY} 13:00", f"{MONDAY} 23:00", needs_review=True)

    mias_tab.open(f"team/{ana.id}/week/{MONDAY}")

    mias_tab.page.get_by_text("Correct these entries before you submit:").wait_for()
    assert mias_tab.button("Submit: Ana Silva").count() == 0


def test_of_a_week_that_is_not_over_nothing_is_asked(weekly, mias_tab, as_user, ana, website):
    as_user(ana).clock_in(website.id)

    mias_tab.open(f"team/{ana.id}/week/{TODAY}")

    mias_tab.page.get_by_text("Open", exact=True).wait_for()
    assert mias_tab.page.get_by_text("Correct these entries").count() == 0


def test_an_approved_timesheet_is_reopened_with_a_reason(weekly, mias_tab, as_user, server, ana, mia):
    sheet = f"/timesheets/{ana.id}/{MONDAY}"
    as_user(ana).post(f"{sheet}/submit", json={}).raise_for_status()
    as_user(mia).post(f"{sheet}/approve", json={}).raise_for_status()
    mias_tab.open(f"team/{ana.id}/week/{MONDAY}")
    mias_tab.page.get_by_text("Approved", exact=True).wait_for()
    assert mias_tab.page.get_by_role("button", name="Correct:").count() == 0

    mias_tab.button("Reopen: Ana Silva").click()
    mias_tab.page.get_by_label("Reason").fill("Tuesday is missing")
    mias_tab.page.get_by_role("dialog").get_by_role("button", name="Reopen").click()

    mias_tab.button("Correct: 08:00").wait_for()
    assert rows(server)[0].timesheet_id is None


def test_somebody_outside_the_team_is_not_there(mias_tab, people):
    tom = people.employee("Tom")

    mias_tab.open(f"team/{tom.id}")

    mias_tab.page.get_by_text("This user does not exist any more.").wait_for()
