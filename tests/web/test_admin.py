"""Administration on the page: users, projects, and the periods of timesheets."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.core.time.clock import utc_now
from app.models.tables import PAYROLL_LOCK, TIMESHEET_RULE, USER
from app.services.users.csv_cells import COLUMNS
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.system
NEW_PASSWORD = "another-lantern-17-harbour"
TODAY = utc_now().date()


@pytest.fixture
def adas_tab(open_tab, people):
    """Ada, an admin, with the list of users open."""
    tab = open_tab("admin/users").log_in(people.admin("Ada").email, PASSWORD)
    tab.button("Add user").wait_for()
    return tab


def dialog(tab):
    return tab.page.get_by_role("dialog")


def confirm(tab, label):
    """Press a button of the dialog, which then closes."""
    dialog(tab).get_by_role("button", name=label, exact=True).click()


def choose_file(tab, *rows):
    """Choose a CSV file with these rows, and check it."""
    content = "\r\n".join([",".join(COLUMNS), *rows, ""]).encode()
    file = {"name": "users.csv", "mimeType": "text/csv", "buffer": content}
    tab.page.get_by_label("CSV file").set_input_files(file)
    tab.button("Check the file").click()


def labels(tab, name):
    """Return the labels of the buttons of a user."""
    return [each.get_attribute("aria-label") for each in tab.page.get_by_role("button", name=f": {name}").all()]


def count_users(server):
    with server.database.read_transaction() as session:
        return session.execute(select(func.count()).select_from(USER)).scalar_one()


# Users


def test_a_new_user_sets_a_password_with_the_link_and_clocks_in(adas_tab, open_tab, website):
    adas_tab.button("Add user").click()
    dialog(adas_tab).get_by_label("E-mail address").fill("tom@example.com")
    dialog(adas_tab).get_by_label("First name").fill("Tom")
    dialog(adas_tab).get_by_label("Last name").fill("Tailor")
    confirm(adas_tab, "Add")
    confirm(adas_tab, "Make a link")
    link = dialog(adas_tab).get_by_label("Link").input_value()
    confirm(adas_tab, "Close")

    toms_tab = open_tab(link.partition("#/")[2])
    toms_tab.page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    toms_tab.page.get_by_label("New password, once more").fill(NEW_PASSWORD)
    toms_tab.button("Set password").click()
    toms_tab.page.get_by_role("link", name="Log in").click()
    toms_tab.log_in("tom@example.com", NEW_PASSWORD)

    toms_tab.button("Clock in").wait_for()
    assert toms_tab.page.get_by_role("link", name="Admin").count() == 0


def test_a_manager_is_removed_and_a_role_is_changed(open_tab, people, ana, mia):
    tab = open_tab("admin/users").log_in(people.admin("Ada").email, PASSWORD)
    tab.expected_statuses = {409}
    tab.button("Change: Mia Silva").click()
    dialog(tab).get_by_label("Role").select_option("employee")
    confirm(tab, "Save")
    dialog(tab).get_by_text("This user is the manager of others.").wait_for()
    confirm(tab, "Cancel")

    tab.button("Change: Ana Silva").click()
    dialog(tab).get_by_label("Manager").select_option("")
    dialog(tab).get_by_label("Role").select_option("manager")
    confirm(tab, "Save")
    dialog(tab).wait_for(state="detached")
    tab.button("Change: Ana Silva").wait_for()

    changed = people.reload(ana)
    assert (changed.role, changed.manager_id) == ("manager", None)


def test_an_admin_sees_what_may_be_done_to_each_user_now(adas_tab, people):
    people.employee("Dan", is_active=False)
    adas_tab.page.reload()
    adas_tab.button("Activate: Dan Silva").wait_for()
    assert [label.partition(":")[0] for label in labels(adas_tab, "Ada Silva")] == ["Change"]
    assert [label.partition(":")[0] for label in labels(adas_tab, "Dan Silva")] == ["Change", "Activate"]
    adas_tab.button("Change: Ada Silva").click()
    assert dialog(adas_tab).get_by_label("Role").is_disabled()
    dialog(adas_tab).get_by_label("First name").fill("Adele")
    confirm(adas_tab, "Save")
    adas_tab.button("Change: Adele Silva").wait_for()

    people.admin("Eve")
    adas_tab.page.reload()

    adas_tab.button("Deactivate: Adele Silva").wait_for()


def test_a_deactivated_manager_leaves_reports_and_is_activated_again(open_tab, people, ana, mia):
    tab = open_tab("admin/users").log_in(people.admin("Ada").email, PASSWORD)
    tab.button("Deactivate: Mia Silva").click()
    confirm(tab, "Deactivate")
    dialog(tab).get_by_text("Mia Silva is still the manager of active users: 1.").wait_for()
    confirm(tab, "Close")
    assert not people.reload(mia).is_active

    tab.button("Activate: Mia Silva").click()
    confirm(tab, "Activate")

    tab.button("Deactivate: Mia Silva").wait_for()
    assert people.reload(mia).is_active


def test_a_file_is_checked_before_its_users_are_added_and_long_lists_are_searched(adas_tab, server):
    choose_file(adas_tab, *(f"user{n}@example.net,User{n:02},Tailor,employee,ada@example.com,," for n in range(60)))
    adas_tab.page.get_by_text("The file is valid. Users in it: 60.").wait_for()
    assert count_users(server) == 1, "a check adds nobody"
    adas_tab.button("Add these users").click()

    adas_tab.button("Change: User48 Tailor").wait_for()
    assert count_users(server) == 61
    assert adas_tab.button("Change: User49 Tailor").count() == 0
    adas_tab.button("Show more").click()
    adas_tab.button("Change: User59 Tailor").wait_for()
    assert not adas_tab.button("Show more").is_visible()

    adas_tab.page.get_by_label("Name or e-mail address").fill("user07@")
    adas_tab.button("Search").click()
    adas_tab.page.get_by_text("Nothing was found.").wait_for()
    adas_tab.page.get_by_label("Name or e-mail address").fill("user7@")
    adas_tab.button("Search").click()
    adas_tab.button("Change: User07 Tailor").wait_for()


def test_the_errors_of_a_file_are_listed_by_line_and_nobody_is_added(adas_tab, server):
    adas_tab.expected_statuses = {422}

    choose_file(adas_tab, "tom@example.net,Tom,Tailor,employee,,", "eva@example.net,Eva,Evans,boss,,")

    adas_tab.page.get_by_text("Errors in the file: 1. No user was added.").wait_for()
    adas_tab.page.get_by_text("Line 3").wait_for()
    assert adas_tab.button("Add these users").count() == 0
    assert count_users(server) == 1


# Projects


def test_a_project_is_added_and_archived_and_two_have_no_code_in_common(adas_tab, people):
    people.project("Website", code="CC-100")
    adas_tab.expected_statuses = {409}
    adas_tab.page.get_by_role("link", name="Projects").click()
    adas_tab.button("Add project").click()
    dialog(adas_tab).get_by_label("Name").fill("Intranet")
    dialog(adas_tab).get_by_label("Code").fill("CC-100")
    confirm(adas_tab, "Add")
    dialog(adas_tab).get_by_text("Another project has this code.").wait_for()
    dialog(adas_tab).get_by_label("Code").fill("CC-200")
    confirm(adas_tab, "Add")

    adas_tab.button("Archive: Intranet").click()
    confirm(adas_tab, "Archive")
    adas_tab.button("Use again: Intranet").wait_for()
    adas_tab.page.get_by_text("CC-200").wait_for()
    adas_tab.button("Change: Website").click()
    dialog(adas_tab).get_by_label("Name").fill("Homepage")
    dialog(adas_tab).get_by_label("Code").fill("")
    confirm(adas_tab, "Save")

    adas_tab.button("Archive: Homepage").wait_for()
    assert adas_tab.page.get_by_text("CC-100").count() == 0


# Timesheets


def test_periods_are_set_and_removed_and_the_lock_date_needs_a_reason(adas_tab, server):
    adas_tab.page.get_by_role("link", name="Timesheets").click()
    adas_tab.page.get_by_text("Timesheets are off.").wait_for()
    adas_tab.page.get_by_label("From", exact=True).fill("2026-06-01")
    adas_tab.page.get_by_label("Period").select_option("month")
    adas_tab.button("Set").click()
    adas_tab.button("Remove: From 1 June 2026").wait_for()
    assert rows(server, TIMESHEET_RULE)[0].period == "month"

    adas_tab.button("Remove: From 1 June 2026").click()
    confirm(adas_tab, "Remove")
    adas_tab.page.get_by_text("Timesheets are off.").wait_for()

    adas_tab.expected_statuses = {422}
    adas_tab.page.get_by_label("Close all days before").fill(str(TODAY + timedelta(days=9)))
    adas_tab.page.get_by_label("Reason").fill("November is paid")
    adas_tab.button("Move the lock date").click()
    adas_tab.page.get_by_text("Some users may still work on these days.").wait_for()
    adas_tab.page.get_by_label("Close all days before").fill("2026-06-01")
    adas_tab.button("Move the lock date").click()
    adas_tab.page.get_by_text("Entries before 1 June 2026 are closed to everybody.").wait_for()
    assert str(rows(server, PAYROLL_LOCK)[0].before_day) == "2026-06-01"


def rows(server, table):
    with server.database.read_transaction() as session:
        return session.execute(select(table)).all()


def test_who_is_no_admin_is_sent_to_the_clock(open_tab, mia, website):
    tab = open_tab("admin/users").log_in(mia.email, PASSWORD)

    tab.button("Clock in").wait_for()
    assert tab.page.get_by_role("link", name="Admin").count() == 0
