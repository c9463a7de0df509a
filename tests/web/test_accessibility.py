"""Every page for everybody: by keyboard, on 320 px, at 200 %, with a screen reader (WCAG 2.2 AA), and quickly."""

import pytest
from sqlalchemy import update

from app.models.tables import USER
from tests.clients.tools import Tools
from tests.support.credentials import create_second_factor
from tests.support.factories import PASSWORD
from tests.web.browser import PHONE

pytestmark = pytest.mark.system
ROUTES = (
    "clock", "time/week", "time/month", "team", "admin/users", "admin/projects", "admin/timesheets", "account",
)  # fmt: skip
WEEK = "time/week/2026-11-30"
DIALOGS = (
    (WEEK, "Correct: 08:00"), (WEEK, "History: 08:00"), (WEEK, "Delete: 08:00"), (WEEK, "Add entry"),
    ("admin/users", "Add user"), ("admin/users", "Deactivate: Ana Silva"), ("admin/users", "Password link: Ana Silva"),
    ("admin/projects", "Add project"), ("account", "Create API token"), ("account", "Add a second factor"),
)  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """rules => axe.run(document, {runOnly: rules}).then(found => found.passes.length < 10 ? ['too few rules'] :
    found.violations.map(
    each => each.id + ': ' + each.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')))"""


@pytest.fixture(scope="module")
def axe():
    return (Tools().folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def mia(people):
    """Mia is an admin here, so she sees every page."""
    return people.admin("Mia")


@pytest.fixture
def mias_tab(open_tab, people, ana, mia, website):
    """Return a function that logs Mia in, who has an entry and sees Ana's."""

    def log_in(**options):
        tab = open_tab(**options)
        return tab.log_in(mia.email, PASSWORD)

    people.entry(mia, website, "2026-11-30 08:00", "2026-11-30 12:00", description="A rather long description " * 6)
    people.entry(ana, website, "2026-11-30 08:00", None, needs_review=True)
    return log_in


@pytest.fixture
def routes(ana):
    return (*ROUTES, WEEK, f"team/{ana.id}/week/2026-11-30")


def show(tab, route):
    tab.open(route)
    tab.page.locator("main:not([aria-busy])").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_checker_finds_nothing_on_any_page(mias_tab, open_tab, routes, axe, scheme):
    login, tab = open_tab(color_scheme=scheme), mias_tab(color_scheme=scheme)
    found = {"login": check(login, axe)}
    for route in routes:
        show(tab, route)
        found[route] = check(tab, axe)
    for route, opener in DIALOGS:
        show(tab, route)
        tab.button(opener).click()
        tab.page.get_by_role("dialog").wait_for()
        found[opener] = check(tab, axe)
        tab.page.keyboard.press("Escape")

    assert {name: violations for name, violations in found.items() if violations} == {}


def test_a_checker_finds_nothing_before_a_login(open_tab, server, people, ana, axe):
    create_second_factor(server.database, ana)
    bob = people.employee("Bob")
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == bob.id).values(must_change_password=True))
    tab = open_tab("set-password/ettl_0")
    tab.expected_statuses = {401}
    tab.page.get_by_label("New password", exact=True).wait_for()
    found = [check(tab, axe)]
    tab.open("clock")
    for password, text in (("wrong-wrong-wrong", "is wrong"), (PASSWORD, "authenticator app")):
        tab.page.get_by_label("E-mail address").fill(ana.email)
        tab.page.get_by_label("Password").fill(password)
        tab.button("Log in").click()
        tab.page.get_by_text(text).wait_for()
        found.append(check(tab, axe))
    tab.page.reload()
    tab.page.get_by_label("E-mail address").fill(bob.email)
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.button("Log in").click()
    tab.button("Set password").wait_for()
    found.append(check(tab, axe))

    assert found == [[]] * 4


def test_a_checker_finds_nothing_while_clocked_in_or_when_there_is_nothing_or_no_network(
    mias_tab, open_tab, people, axe
):
    tab, maxs_tab = mias_tab(), open_tab("team").log_in(people.manager("Max").email, PASSWORD)
    tab.expected_statuses = {0}
    found = {}
    for route in ("team", "time/week", "clock"):
        show(maxs_tab, route)
        found[f"empty {route}"] = check(maxs_tab, axe)
    tab.button("Clock in").click()
    tab.button("Clock out").wait_for()
    found["clocked in"] = check(tab, axe)
    tab.page.clock.install()
    tab.page.route("**/api/v1/**", lambda route: route.abort())
    tab.button("Clock out").click()
    tab.button("Sending").wait_for()
    found["sending"] = check(tab, axe)
    for _ in range(31):
        tab.page.clock.run_for(2_000)
    tab.page.get_by_text("It does not count. Enter it by hand?").wait_for()
    found["missed"] = check(tab, axe)
    show(tab, "account")
    tab.button("Try again").wait_for()
    found["no network"] = check(tab, axe)

    assert {name: violations for name, violations in found.items() if violations} == {}


def check(tab, axe):
    """Return the violations. The checker itself is run by the browser's debugger, which the policy allows."""
    tab.page.evaluate(axe)
    return tab.page.evaluate(RUN, RULES)


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 320, "height": 640}},
        {"viewport": {"width": 640, "height": 430}, "device_scale_factor": 2},
    ],
    ids=["320 px", "200 %"],
)
def test_nothing_is_cut_off_on_a_small_screen(mias_tab, routes, options, language):
    tab = mias_tab(locale=language, **options)
    wide = []
    for route in routes:
        show(tab, route)
        if tab.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(route)

    assert wide == []
    for route, opener in DIALOGS if language == "en-GB" else ():
        show(tab, route)
        tab.button(opener).click()
        dialog = tab.page.get_by_role("dialog")
        dialog.wait_for()
        assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth"), opener
        tab.page.keyboard.press("Escape")


def test_every_control_is_large_enough_for_a_finger(mias_tab, routes):
    tab = mias_tab(viewport=PHONE, has_touch=True)
    small = {}
    for route in routes:
        show(tab, route)
        small[route] = tab.page.evaluate(
            "[...document.querySelectorAll('a:not(.skip), button, input, select, summary')]"
            ".filter(each => each.checkVisibility() && each.getBoundingClientRect().height < 24)"
            ".map(each => each.outerHTML)"
        )

    assert {route: found for route, found in small.items() if found} == {}


def test_the_focus_moves_to_the_heading_of_a_new_page(mias_tab):
    tab = mias_tab()
    tab.page.get_by_role("link", name="Account").click()
    tab.page.get_by_role("heading", name="Mia Silva").wait_for()

    assert tab.page.evaluate("document.activeElement.tagName") == "H1"
    assert tab.page.title() == "Account · Time Tracking"
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Log out"


def test_a_day_is_clocked_by_keyboard_only_from_the_login_to_the_logout(open_tab, ana, website):
    tab = open_tab()
    tab.page.get_by_label("E-mail address").wait_for()
    tab.page.keyboard.type(ana.email)
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.type(PASSWORD)
    tab.page.keyboard.press("Enter")
    tab.button("Clock in").wait_for()
    press_by_keyboard(tab, "Clock in")
    tab.button("Clock out").wait_for()
    tab.page.keyboard.press("Enter")
    tab.button("Clock in").wait_for()
    press_by_keyboard(tab, "Account", backwards=True)
    tab.button("Log out").wait_for()
    press_by_keyboard(tab, "Log out")

    tab.page.get_by_label("E-mail address").wait_for()


def press_by_keyboard(tab, name, *, backwards=False):
    """Move the focus to the control with this text, and press it."""
    for _ in range(20):
        if tab.page.evaluate("document.activeElement.textContent") == name:
            break
        tab.page.keyboard.press("Shift+Tab" if backwards else "Tab")
    tab.page.keyboard.press("Enter")


def test_an_entry_is_corrected_by_keyboard_only(mias_tab):
    tab = mias_tab()
    show(tab, "time/week/2026-11-30")
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        if "Correct:" in (tab.page.evaluate("document.activeElement.getAttribute('aria-label')") or ""):
            break
    tab.page.keyboard.press("Enter")
    tab.page.get_by_role("dialog").wait_for()
    tab.page.get_by_label("Description").focus()
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.type("Newsletter")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.type("Typo")
    tab.page.keyboard.press("Enter")

    tab.page.get_by_text("Newsletter").wait_for()


def test_the_language_changes_at_once_and_stays(mias_tab):
    tab = mias_tab()
    tab.page.get_by_label("Language").select_option("de")
    tab.button("Einstempeln").wait_for()
    tab.page.reload()

    tab.button("Einstempeln").wait_for()
    assert tab.page.evaluate("document.documentElement.lang") == "de"


# Speed, and no network


def test_the_first_page_takes_few_requests_and_is_there_at_once(open_tab, ana):
    tab = open_tab()
    tab.page.get_by_label("E-mail address").wait_for()
    kinds = tab.page.evaluate("performance.getEntriesByType('resource').map(each => [each.name, each.encodedBodySize])")
    milliseconds = tab.page.evaluate("performance.now()")

    assert len(tab.requests) < 20
    assert sum(size for _, size in kinds) < 60_000
    assert milliseconds < 5_000


def test_the_shell_opens_without_a_network_and_shows_nothing_personal(open_tab, ana, website):
    tab = open_tab(service_workers="allow").log_in(ana.email, PASSWORD)
    tab.button("Clock in").wait_for()
    tab.page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    tab.expected_statuses = {0}
    tab.page.context.set_offline(True)
    tab.page.reload()

    tab.page.get_by_text("The server could not be reached.").wait_for()
    assert "Ana" not in tab.page.content()
    tab.page.context.set_offline(False)
    tab.button("Try again").click()
    tab.button("Clock in").wait_for()


def test_the_worker_keeps_the_files_of_other_programs_on_the_same_host(open_tab, ana, website):
    tab = open_tab(service_workers="allow")
    tab.page.evaluate("caches.open('of another program').then(() => undefined)")

    tab.log_in(ana.email, PASSWORD)
    tab.page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")

    assert "of another program" in tab.page.evaluate("caches.keys()")
