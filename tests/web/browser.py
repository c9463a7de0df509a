"""Chromium of the machine, with pages that report every error, every blocked request and every foreign request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.system_packages import find_program

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 860}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
"""Tests run as root, and in containers."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_program("chromium"), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page of the service in a browser context, with the errors that it reported."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.base_url = base_url
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.expected_statuses: set[int] = set()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        self.page.on("request", self._on_request)

    def open(self, route: str = "") -> "Tab":
        """Open the page, at a route such as `time/week`."""
        self.page.goto(f"{self.base_url}/app/{f'#/{route}' if route else ''}")
        return self

    def log_in(self, email: str, password: str) -> "Tab":
        """Log in with the form that is shown, until the page or the change of the password is there."""
        self.page.locator("input[name=username]").fill(email)
        self.page.locator("input[name=password]").fill(password)
        self.page.locator("form button[type=submit]").click()
        self.page.locator("nav, input[name=current_password]").first.wait_for()
        return self

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name)

    def _on_console(self, message: Any) -> None:
        """Note errors and warnings. A response with an expected status is one to the browser, but not to us."""
        is_expected = any(f"status of {status} " in message.text for status in self.expected_statuses)
        is_expected |= 0 in self.expected_statuses and "net::ERR" in message.text
        is_expected |= message.text == "Service Worker registration blocked by Playwright"
        if message.type in {"error", "warning"} and not is_expected:
            self.errors.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Any) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.base_url}/app/", f"{self.base_url}/api/v1/", "blob:", "data:")):
            self.errors.append(f"foreign request: {request.url}")


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """Open a browser with an empty profile."""
    defaults = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "Europe/Lisbon", "service_workers": "block"}
    return browser.new_context(**(defaults | options))
