"""The own account: API tokens and the second factor."""

import httpx
import pyotp
import pytest

from app.core.time.clock import utc_now
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import run_server
from tests.web.browser import Tab, new_context

pytestmark = pytest.mark.system


@pytest.fixture
def tab(anas_tab):
    anas_tab.page.get_by_role("link", name="Account").click()
    anas_tab.button("Create API token").wait_for()
    return anas_tab


def dialog(tab):
    return tab.page.get_by_role("dialog")


def press(tab, label):
    dialog(tab).get_by_role("button", name=label, exact=True).click()


def read_entries(server, token):
    """Return the status of a request that reads entries."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.base_url}/api/v1/time-entries", headers=headers).status_code


def test_an_api_token_is_shown_once_and_works_until_it_is_revoked(tab, server):
    tab.button("Create API token").click()
    dialog(tab).get_by_label("Name").fill("Terminal")
    dialog(tab).get_by_label("Current password").fill(PASSWORD)
    press(tab, "Create API token")
    dialog(tab).get_by_text("Choose what the token may do.").wait_for()
    assert dialog(tab).get_by_label("manage users and projects").count() == 0, "Ana is no admin"
    dialog(tab).get_by_label("read entries").check()
    press(tab, "Create API token")
    token = dialog(tab).get_by_label("API token", exact=True).input_value()
    press(tab, "Close")

    tab.button("Revoke: Terminal").wait_for()
    assert read_entries(server, token) == 200
    assert token not in tab.page.content()
    tab.button("Revoke: Terminal").click()
    press(tab, "Revoke")
    tab.page.get_by_text("You have no API tokens.").wait_for()
    assert read_entries(server, token) == 401


def test_a_second_factor_is_added_with_a_code_and_removed_with_a_recovery_code(tab, people, ana):
    tab.expected_statuses = {403}
    tab.button("Add a second factor").click()
    dialog(tab).get_by_label("Current password").fill(PASSWORD)
    press(tab, "Begin")
    picture = dialog(tab).get_by_role("img", name="QR code of the secret below")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    secret = dialog(tab).get_by_label("Secret").input_value()
    dialog(tab).get_by_label("Code", exact=True).fill("12")
    press(tab, "Turn on")
    dialog(tab).get_by_text("The code is wrong or was used before.").wait_for()
    dialog(tab).get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).at(utc_now()))
    press(tab, "Turn on")
    codes = dialog(tab).get_by_label("Recovery codes").input_value().split()
    press(tab, "Close")

    tab.page.get_by_text(f"Recovery codes left: {len(codes)}.").wait_for()
    assert people.reload(ana).has_second_factor
    tab.button("Remove the second factor").click()
    dialog(tab).get_by_label("Current password").fill(PASSWORD)
    dialog(tab).get_by_label("Code", exact=True).fill(codes[0])
    press(tab, "Remove the second factor")

    tab.button("Add a second factor").wait_for()
    assert not people.reload(ana).has_second_factor


def test_who_needs_a_second_factor_sees_nothing_else_until_there_is_one(browser, db_url, people):
    ana = people.employee("Ana")
    with run_server(settings_for(db_url, REQUIRE_TOTP_ROLES=["employee"])) as server:
        tab = Tab(new_context(browser), server.base_url).open()
        tab.expected_statuses = {403}
        tab.log_in(ana.email, PASSWORD)
        tab.page.get_by_text("Your role needs a second factor. Add one on the page Account.").wait_for()

        tab.page.get_by_role("link", name="Account").click()

        tab.button("Add a second factor").wait_for()
        assert tab.button("Create API token").count() == 0
        tab.page.context.close()
    assert tab.errors == []
