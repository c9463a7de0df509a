"""My time: what was recorded, corrected and deleted, and the timesheets."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.time.clock import utc_now
from app.models.tables import ENTRY
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.system
TODAY = utc_now().date()
MONDAY = TODAY - timedelta(days=TODAY.weekday() + 7)


def span(start, end, minutes=0):
    """Return the times of an entry as the page writes them."""
    return f"{start:02}:00 \N{EN DASH} {end:02}:{minutes:02}"


@pytest.fixture
def last_week(people, ana, website):
    """Ana worked on Monday and Tuesday of last week. On Tuesday she forgot to clock out."""
    tuesday = MONDAY + timedelta(days=1)
    people.entry(ana, website, f"{MONDAY} 08:00", f"{MONDAY} 12:00", description="Newsletter")
    people.entry(ana, website, f"{tuesday} 08:00", f"{tuesday} 20:00", needs_review=True)


@pytest.fixture
def tab(anas_tab, last_week):
    anas_tab.open(f"time/week/{MONDAY}")
    anas_tab.page.get_by_text("Newsletter").wait_for()
    return anas_tab


def rows(server):
    with server.database.read_transaction() as session:
        return session.execute(select(ENTRY).order_by(ENTRY.c.id)).all()


def test_a_week_shows_its_hours_as_bars_and_as_a_table(tab):
    tab.page.get_by_text("16 h 0 min").wait_for()
    tab.page.get_by_text("Show as a table").click()

    (monday, *_others) = tab.page.locator("figure tbody tr").all()
    assert monday.locator("td").all_inner_texts() == ["4:00", "0:00"]


def test_a_month_and_the_week_before_are_a_click_away(tab):
    tab.page.get_by_role("link", name="Month").click()
    tab.page.get_by_text("this month").wait_for()
    tab.page.go_back()
    tab.page.get_by_role("link", name="Earlier").click()

    tab.page.get_by_text("No time was recorded on these days.").wait_for()
    assert f"time/week/{MONDAY - timedelta(days=7)}" in tab.page.url


def test_a_correction_needs_a_reason_and_is_in_the_history(tab, server):
    tab.button(f"Correct: {span(8, 12)}").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("End").fill(f"{MONDAY}T13:30")
    dialog.get_by_role("button", name="Save").click()
    assert dialog.get_by_label("Reason").evaluate("input => input.validity.valueMissing")
    dialog.get_by_label("Reason").fill("Meeting took longer")
    dialog.get_by_role("button", name="Save").click()

    tab.button(f"History: {span(8, 13, 30)}").click()

    tab.page.get_by_text("Reason: Meeting took longer").wait_for()
    assert rows(server)[0].end_time.isoformat().startswith(f"{MONDAY}T13:30")


def test_an_entry_can_be_added_and_deleted_with_a_reason(tab, server):
    tab.button("Add entry").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Start").fill(f"{MONDAY}T14:00")
    dialog.get_by_label("End").fill(f"{MONDAY}T15:00")
    dialog.get_by_role("button", name="Save").click()
    tab.button(f"Delete: {span(14, 15)}").click()
    tab.page.get_by_label("Reason").fill("Wrong day")
    tab.page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    tab.page.get_by_text(span(14, 15), exact=True).wait_for(state="detached")
    assert len(rows(server)) == 2


def test_a_refused_correction_stays_open_and_says_why(tab):
    tab.expected_statuses = {409}
    tab.button("Add entry").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Start").fill(f"{MONDAY}T09:00")
    dialog.get_by_label("End").fill(f"{MONDAY}T10:00")
    dialog.get_by_role("button", name="Save").click()

    dialog.get_by_text("The times overlap another entry.").wait_for()
    tab.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert tab.page.evaluate("document.activeElement.textContent") == "Add entry"


@pytest.mark.parametrize(
    ("locale", "browser_zone", "times", "day"),
    [
        ("en-US", "America/New_York", "05:00 PM \N{EN DASH} 09:00 PM", "Monday, March 2"),
        ("en-GB", "Pacific/Kiritimati", span(17, 21), "Monday 2 March"),
        ("de-DE", "Europe/Berlin", span(17, 21), "Montag, 2. M\N{LATIN SMALL LETTER A WITH DIAERESIS}rz"),
    ],
)
def test_wherever_the_browser_is_the_times_are_those_of_the_user(
    open_tab, people, as_user, ana, website, locale, browser_zone, times, day
):
    as_user(ana).patch("/auth/me", json={"time_zone": "Asia/Tokyo"}).raise_for_status()
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", time_zone="Asia/Tokyo")

    tab = open_tab("time/week/2026-03-02", locale=locale, timezone_id=browser_zone).log_in(ana.email, PASSWORD)

    tab.page.get_by_text(times, exact=True).wait_for()
    tab.page.get_by_role("heading", name=day).wait_for()


def test_a_button_without_an_effect_says_so(tab):
    tab.expected_statuses = {0}
    tab.page.route("**/api/v1/projects*", lambda route: route.abort())

    tab.button("Add entry").click()

    tab.page.get_by_role("dialog").get_by_text("The server could not be reached.").wait_for()
    tab.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    assert tab.page.evaluate("document.activeElement.textContent") == "Add entry"


def test_times_are_those_of_the_entrys_zone_and_what_the_user_types_too(anas_tab, people, server, ana, website):
    people.entry(ana, website, f"{MONDAY} 08:00", f"{MONDAY} 12:00", time_zone="Asia/Tokyo")
    anas_tab.open(f"time/week/{MONDAY}")

    anas_tab.button(f"Correct: {span(17, 21)}").click()
    dialog = anas_tab.page.get_by_role("dialog")
    dialog.get_by_text("Times are local times in Asia/Tokyo.").wait_for()
    dialog.get_by_label("Start").fill(f"{MONDAY}T18:00")
    dialog.get_by_label("Reason").fill("Train")
    dialog.get_by_role("button", name="Save").click()

    anas_tab.page.get_by_text(span(18, 21)).wait_for()
    assert rows(server)[0].start_time.isoformat().startswith(f"{MONDAY}T09:00")


# Timesheets


@pytest.fixture
def ada(people):
    return people.admin("Ada")


@pytest.fixture
def weekly(as_user, ada):
    """Timesheets by week, from last week on."""
    answer = as_user(ada).put(f"/admin/timesheet-rules/{MONDAY}", json={"period": "week"})
    assert answer.is_success, answer.text


def test_a_week_is_submitted_once_its_entries_are_corrected(weekly, tab, server):
    tab.page.get_by_text("Correct these entries before you submit:").wait_for()
    assert tab.button("Submit").count() == 0

    tab.page.get_by_role("button", name="08:00").filter(has_text="20:00").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("End").fill(f"{MONDAY + timedelta(days=1)}T16:00")
    dialog.get_by_label("Reason").fill("Forgot to clock out")
    dialog.get_by_role("button", name="Save").click()
    tab.button("Submit").click()

    tab.page.get_by_text("Submitted", exact=True).wait_for()
    assert all(row.timesheet_id for row in rows(server))
    assert tab.page.get_by_role("button", name="Correct:").count() == 0, "what is locked can't be corrected"


def test_a_submitted_week_can_be_withdrawn(weekly, anas_tab, people, ana, website):
    people.entry(ana, website, f"{MONDAY} 08:00", f"{MONDAY} 12:00")
    anas_tab.open(f"time/week/{MONDAY}")
    anas_tab.button("Submit").click()

    anas_tab.button("Withdraw").click()

    anas_tab.button("Submit").wait_for()


def test_the_manager_returns_a_week_with_a_comment_and_approves_it_later(
    weekly, anas_tab, open_tab, people, ana, mia, website
):
    people.entry(ana, website, f"{MONDAY} 08:00", f"{MONDAY} 12:00")
    anas_tab.open(f"time/week/{MONDAY}")
    anas_tab.button("Submit").click()
    anas_tab.button("Withdraw").wait_for()
    mias_tab = open_tab("team").log_in(mia.email, "violet-harbour-42-lantern")
    mias_tab.button("Return: Ana Silva").click()
    mias_tab.page.get_by_label("Comment").fill("Where is Tuesday?")
    mias_tab.page.get_by_role("dialog").get_by_role("button", name="Return").click()
    mias_tab.page.get_by_text("No timesheet waits for you.").wait_for()

    anas_tab.page.reload()
    anas_tab.page.get_by_text("Where is Tuesday?").wait_for()
    anas_tab.button("Submit").click()
    anas_tab.button("Withdraw").wait_for()
    mias_tab.page.reload()
    mias_tab.button("Approve the selected ones").click()
    mias_tab.page.get_by_text("No timesheet waits for you.").wait_for()

    anas_tab.page.reload()
    anas_tab.page.get_by_text("Approved", exact=True).wait_for()


def test_a_sole_admin_reopens_a_week_of_their_own_because_nobody_else_could(weekly, open_tab, ada):
    adas_tab = open_tab().log_in(ada.email, PASSWORD)
    adas_tab.open(f"time/week/{MONDAY}")
    adas_tab.button("Submit").click()
    adas_tab.page.get_by_text("Approved", exact=True).wait_for()

    adas_tab.button("Reopen").click()
    adas_tab.page.get_by_label("Reason").fill("Tuesday is missing")
    adas_tab.page.get_by_role("dialog").get_by_role("button", name="Reopen").click()

    adas_tab.button("Submit").wait_for()
