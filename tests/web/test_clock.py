"""The big button, also on a bad network: one press is one punch, or is offered for entry by hand."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.time.clock import utc_now
from app.models.tables import ENTRY
from tests.support.factories import PASSWORD

pytestmark = pytest.mark.system
CLOCK_IN = "**/time-entries/clock-in*"


def entries(server):
    with server.database.read_transaction() as session:
        return session.execute(select(ENTRY).order_by(ENTRY.c.id)).all()


def test_one_press_clocks_in_and_the_next_one_out(anas_tab, server, website):
    anas_tab.page.get_by_label("Description").fill("Newsletter")

    anas_tab.button("Clock in").click()
    anas_tab.page.get_by_text("on Website.").first.wait_for()
    anas_tab.button("Clock out").click()
    anas_tab.page.get_by_text("You are not clocked in.").first.wait_for()

    (entry,) = entries(server)
    assert (entry.project_id, entry.description) == (website.id, "Newsletter")
    assert entry.end_time is not None


def test_project_and_description_of_the_last_entry_are_there_the_next_time(anas_tab, people):
    people.project("Intranet")
    anas_tab.page.reload()
    anas_tab.page.get_by_label("Project").select_option(label="Intranet")
    anas_tab.page.get_by_label("Description").fill("Search")
    anas_tab.button("Clock in").click()
    anas_tab.button("Clock out").click()
    anas_tab.button("Clock in").wait_for()

    anas_tab.page.reload()

    anas_tab.button("Clock in").wait_for()
    assert anas_tab.page.get_by_label("Description").input_value() == "Search"
    assert anas_tab.page.locator("select[name=project_id] option:checked").inner_text() == "Intranet"


def test_switching_closes_one_entry_and_opens_the_next(anas_tab, server, people):
    people.project("Intranet")
    anas_tab.page.reload()
    anas_tab.page.get_by_label("Project").select_option(label="Website")
    anas_tab.button("Clock in").click()
    anas_tab.page.get_by_text("on Website.").first.wait_for()

    anas_tab.page.get_by_label("Project").select_option(label="Intranet")
    anas_tab.button("Switch to this project").click()
    anas_tab.page.get_by_text("on Intranet.").first.wait_for()

    first, second = entries(server)
    assert first.end_time == second.start_time
    assert second.end_time is None


def test_without_a_mouse_the_clock_works_too(anas_tab, server):
    anas_tab.page.keyboard.press("Tab")
    for _ in range(10):
        if anas_tab.page.evaluate("document.activeElement.classList.contains('punch')"):
            break
        anas_tab.page.keyboard.press("Tab")
    anas_tab.page.keyboard.press("Enter")

    anas_tab.button("Clock out").wait_for()
    assert anas_tab.page.evaluate("document.activeElement.classList.contains('punch')"), "the focus stays"
    assert len(entries(server)) == 1


def test_a_double_click_is_one_punch(anas_tab, server):
    anas_tab.button("Clock in").dblclick()

    anas_tab.button("Clock out").wait_for()
    (entry,) = entries(server)
    assert entry.end_time is None


def test_an_answer_that_got_lost_is_asked_for_again_under_the_same_key(anas_tab, server):
    anas_tab.expected_statuses = {0}
    keys = []

    def lose_first(route):
        keys.append(route.request.headers["idempotency-key"])
        answer = route.fetch()
        route.abort() if len(keys) == 1 else route.fulfill(response=answer)

    anas_tab.page.route(CLOCK_IN, lose_first)
    anas_tab.button("Clock in").click()

    anas_tab.button("Clock out").wait_for()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(entries(server)) == 1


def test_an_answer_that_is_cut_off_counts_as_none(anas_tab, server):
    cut = []

    def cut_first(route):
        answer = route.fetch()
        cut.append(answer)
        route.fulfill(response=answer, body=answer.text()[:20] if len(cut) == 1 else answer.text())

    anas_tab.page.route(CLOCK_IN, cut_first)
    anas_tab.button("Clock in").click()

    anas_tab.button("Clock out").wait_for()
    assert len(cut) == 2
    assert len(entries(server)) == 1


def test_a_request_that_arrives_twice_is_one_punch(anas_tab, server):
    def send_twice(route):
        route.fetch()
        route.fulfill(response=route.fetch())

    anas_tab.page.route(CLOCK_IN, send_twice)
    anas_tab.button("Clock in").click()

    anas_tab.button("Clock out").wait_for()
    assert len(entries(server)) == 1


def test_a_busy_service_is_asked_again(anas_tab, server):
    anas_tab.expected_statuses = {503}
    busy = {"status": 503, "content_type": "application/problem+json", "body": json.dumps({"code": "service_busy"})}
    anas_tab.page.route(CLOCK_IN, lambda route: route.fulfill(**busy), times=2)

    anas_tab.button("Clock in").click()
    anas_tab.button("Sending …").wait_for()

    anas_tab.button("Clock out").wait_for(timeout=15_000)
    assert len(entries(server)) == 1


def test_a_refused_press_says_why_and_is_not_repeated(anas_tab, server, as_user, ana, website):
    anas_tab.expected_statuses = {409}
    as_user(ana).clock_in(website.id)

    anas_tab.button("Clock in").click()

    anas_tab.page.get_by_text("You are already clocked in.").wait_for()
    anas_tab.button("Clock out").wait_for()
    assert len(entries(server)) == 1


def test_a_press_that_never_arrives_is_no_punch_and_is_offered_by_hand(anas_tab, server, website):
    anas_tab.expected_statuses = {0}
    page = anas_tab.page
    page.clock.install()
    page.route("**/api/v1/**", lambda route: route.abort())
    anas_tab.button("Clock in").click()
    anas_tab.button("Sending …").wait_for()
    for _ in range(31):
        page.clock.run_for(2_000)
    page.get_by_text("It does not count. Enter it by hand?").wait_for()
    assert entries(server) == []

    page.unroute_all()
    page.clock.run_for(300_000)
    anas_tab.button("Enter by hand").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_label("Reason").input_value() == "offline"
    assert dialog.get_by_label("Start").input_value() != ""


def test_a_press_without_a_network_arrives_when_there_is_one_again(anas_tab, server):
    anas_tab.expected_statuses = {0}
    anas_tab.page.context.set_offline(True)
    anas_tab.button("Clock in").click()
    anas_tab.button("Sending …").wait_for()
    anas_tab.page.context.set_offline(False)

    anas_tab.button("Clock out").wait_for()
    assert len(entries(server)) == 1


def test_presses_in_two_tabs_at_once_are_one_punch(anas_tab, open_tab, server):
    second = open_tab(context=anas_tab.page.context)
    second.button("Clock in").wait_for()
    anas_tab.expected_statuses = {409}
    held = []

    def hold(route):
        held.append(route)

    anas_tab.page.route(CLOCK_IN, hold, times=1)
    anas_tab.button("Clock in").click()
    anas_tab.button("Sending …").wait_for()
    second.button("Clock in").click()
    second.button("Clock out").wait_for()
    held[0].continue_()

    anas_tab.page.get_by_text("You are already clocked in.").wait_for()
    anas_tab.button("Clock out").wait_for()
    assert len(entries(server)) == 1


def test_a_reload_within_the_minute_goes_on_with_the_same_press(anas_tab, server):
    anas_tab.expected_statuses = {0}
    keys = []

    def lose_first(route):
        keys.append(route.request.headers["idempotency-key"])
        route.abort() if len(keys) == 1 else route.continue_()

    anas_tab.page.context.route(CLOCK_IN, lose_first)
    anas_tab.button("Clock in").click()
    anas_tab.button("Sending …").wait_for()
    anas_tab.page.reload()

    anas_tab.button("Clock out").wait_for()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(entries(server)) == 1


def test_a_punch_in_one_tab_shows_in_the_other(anas_tab, open_tab):
    second = open_tab(context=anas_tab.page.context)
    second.button("Clock in").wait_for()

    anas_tab.button("Clock in").click()

    second.button("Clock out").wait_for()


# What else there is to do


def test_below_the_clock_stands_what_ana_has_to_do(anas_tab, people, as_user, ana, website):
    monday = utc_now().date() - timedelta(days=utc_now().weekday() + 7)
    as_user(people.admin("Ada")).put(f"/admin/timesheet-rules/{monday}", json={"period": "week"}).raise_for_status()
    people.entry(ana, website, f"{monday} 08:00", f"{monday} 23:00", needs_review=True)
    anas_tab.page.reload()
    anas_tab.page.get_by_role("link", name="Timesheets to submit: 1").wait_for()

    anas_tab.page.get_by_role("link", name="Entries to correct: 1").click()

    anas_tab.page.get_by_text("Correct these entries before you submit:").wait_for()
    assert anas_tab.page.url.endswith(f"#/time/week/{monday}")


def test_a_manager_is_led_from_the_clock_to_the_timesheets_that_wait(open_tab, people, as_user, mia, ana, website):
    monday = utc_now().date() - timedelta(days=utc_now().weekday() + 7)
    as_user(people.admin("Ada")).put(f"/admin/timesheet-rules/{monday}", json={"period": "week"}).raise_for_status()
    people.entry(ana, website, f"{monday} 08:00", f"{monday} 12:00")
    as_user(ana).post(f"/timesheets/{ana.id}/{monday}/submit", json={}).raise_for_status()
    tab = open_tab().log_in(mia.email, PASSWORD)

    tab.page.get_by_role("link", name="Timesheets that wait for you: 1").click()

    tab.button("Approve the selected ones").wait_for()
