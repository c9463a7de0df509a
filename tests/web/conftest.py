"""A service with Ana, her manager Mia and a project, and a browser that fails a test for every error it reports."""

import pytest

from tests.support.factories import PASSWORD
from tests.web.browser import Tab, chromium, new_context


@pytest.fixture(scope="module")
def browser():
    """Start Chromium for one module, because Playwright runs an event loop in this thread until it is stopped."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def mia(people):
    return people.manager("Mia")


@pytest.fixture
def ana(people, mia):
    return people.employee("Ana", manager=mia)


@pytest.fixture
def website(people):
    return people.project("Website")


@pytest.fixture
def open_tab(browser, server):
    """Return a function that opens the page in a browser of its own, or in the `context` of another tab."""
    contexts, tabs = [], []

    def open_tab(route="", *, context=None, **options):
        if context is None:
            contexts.append(context := new_context(browser, **options))
        tabs.append(tab := Tab(context, server.base_url))
        return tab.open(route)

    yield open_tab
    for context in contexts:
        context.close()
    assert [error for tab in tabs for error in tab.errors] == []


@pytest.fixture
def anas_tab(open_tab, ana, website):
    """Ana, logged in and at the clock."""
    tab = open_tab()
    tab.log_in(ana.email, PASSWORD)
    tab.button("Clock in").wait_for()
    return tab
