"""Measure how long the page takes until it can be used: `python -m benchmarks.page`.

Each round loads /app/ in Chromium without any stored file, on loopback, from a service with the demo company. The time
is that from the navigation until the form to log in, or the big button, is there.
"""

import argparse
import statistics

from playwright.sync_api import Browser

from tests.web.browser import Tab, chromium, new_context
from tests.web.demo import EMPLOYEE, demo_company

ROUNDS = 20
LOGIN, CLOCK = "main form button[type=submit]", "button.punch:not([aria-disabled=true])"
WATCH = """selector => new MutationObserver(() => {
    if (!window.readyAt && document.querySelector(selector)) window.readyAt = performance.now();
}).observe(document, {childList: true, subtree: true, attributes: true})"""
FILES = """[performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')]
    .filter(each => each.startTime < window.readyAt).map(each => each.encodedBodySize)"""
STEPS = """performance.getEntriesByType('resource')
    .map(each => [Math.round(each.startTime), Math.round(each.responseEnd), new URL(each.name).pathname])"""


def main() -> None:
    """Print a line for a user who is not logged in, and one for a user who is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", action="store_true", help="print start and end of each request of the last round")
    with_steps = parser.parse_args().steps
    with demo_company() as base_url, chromium() as browser:
        _measure(browser, base_url, LOGIN, with_steps=with_steps)
        _measure(browser, base_url, CLOCK, with_steps=with_steps)


def _measure(browser: Browser, base_url: str, selector: str, *, with_steps: bool) -> None:
    context = new_context(browser)
    tab = Tab(context, base_url)
    if selector == CLOCK:
        tab.open().log_in(*EMPLOYEE)
    context.add_init_script(f"({WATCH})({selector!r})")
    network = context.new_cdp_session(tab.page)
    times = []
    for _ in range(ROUNDS):
        tab.page.goto("about:blank")
        network.send("Network.clearBrowserCache")
        tab.open().page.locator(selector).wait_for()
        times.append(tab.page.evaluate("window.readyAt"))
    sizes = tab.page.evaluate(FILES)
    print(
        f"{selector}: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms, "
        f"{len(sizes)} requests, {sum(sizes) / 1000:.0f} KB"
    )
    if with_steps:
        for start, end, path in sorted(tab.page.evaluate(STEPS)):
            print(f"{start:6} {end:6} {path}")
    context.close()


if __name__ == "__main__":
    main()
