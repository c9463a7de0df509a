"""Take a screenshot of every page and of some dialogs, in three sizes, light and dark, in English and German.

Run it as `python -m tests.web.screenshots FOLDER`, and look at each picture before a release. The company is made up.
"""

import base64
import itertools
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser

from app.core.time.clock import utc_now
from tests.web.browser import DESKTOP, PHONE, Tab, chromium, new_context
from tests.web.demo import ADMIN, EMPLOYEE, MANAGER, NEWCOMER, demo_company

SIZES = {"phone": PHONE, "tablet": {"width": 820, "height": 1180}, "desktop": DESKTOP}
SCHEMES = ("light", "dark")
LANGUAGES = {"en": "en-GB", "de": "de-DE"}
EARLIER = utc_now().date() - timedelta(days=14)


class View(NamedTuple):
    """A page at a route. `press` is the selector of a link or button that is pressed there first."""

    name: str
    route: str
    press: str = ""


VIEWS = {
    None: (View("login", ""), View("set-password", "set-password/ettl_0")),
    NEWCOMER: (View("change-password", ""),),
    EMPLOYEE: (
        View("clock", "clock"),
        View("week", f"time/week/{EARLIER}"),
        View("month", f"time/month/{EARLIER}"),
        View("week-empty", "time/week/2020-01-06"),
        View("entry-correct", "time/week", ".entries .actions button:nth-child(1)"),
        View("entry-history", "time/week", ".entries .actions button:last-child"),
        View("account", "account"),
        View("account-token", "account", ".card .actions > button[type=button] >> nth=1"),
    ),
    MANAGER: (
        View("clock-manager", "clock"),
        View("team", "team"),
        View("team-return", "team", "form .waiting .actions button"),
        View("person", "team", ".card:last-child li:nth-child(2) a"),
    ),
    ADMIN: (
        View("admin-users", "admin/users"),
        View("admin-user-add", "admin/users", ".row button.primary"),
        View("admin-projects", "admin/projects"),
        View("admin-timesheets", "admin/timesheets"),
    ),
}
"""The views by the credentials of who sees them."""
PICTURES = {
    "clock-phone-light-en": "clock",
    "week-desktop-light-en": "my-time",
    "team-desktop-light-en": "team",
    "admin-users-desktop-dark-de": "users",
}
"""The pictures of docs/images, written in WebP too."""
TO_WEBP = """async data => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").drawImage(image, 0, 0);
    const bytes = await (await canvas.convertToBlob({type: "image/webp", quality: 0.8})).bytes();
    return bytes.toBase64();
}"""


def main(folder: Path) -> None:
    """Write one file for each view and look into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with demo_company() as base_url, chromium() as browser:
        for size, scheme, language in itertools.product(SIZES, SCHEMES, LANGUAGES):
            look = f"{size}-{scheme}-{language}"
            for name, tab in _views(browser, base_url, size, scheme, language):
                is_dialog = tab.page.locator("dialog").count() > 0
                tab.page.screenshot(path=folder / f"{name}-{look}.png", full_page=not is_dialog)
                if picture := PICTURES.get(f"{name}-{look}"):
                    (folder / f"{picture}.webp").write_bytes(_webp(tab))


def _views(browser: Browser, base_url: str, size: str, scheme: str, language: str) -> Iterator[tuple[str, Tab]]:
    """Open one view after the other, and at last a page whose server can't be reached."""
    for credentials, views in VIEWS.items():
        options = {"viewport": SIZES[size], "color_scheme": scheme, "locale": LANGUAGES[language]}
        context = new_context(browser, **options, reduced_motion="reduce")
        tab = Tab(context, base_url).open()
        if credentials:
            tab.log_in(*credentials)
        for view in views:
            tab.open(view.route)
            _wait(tab)
            if view.press:
                tab.page.locator(view.press).first.click()
                _wait(tab)
            yield view.name, tab
            tab.page.keyboard.press("Escape")
        tab.expected_statuses = {0}
        if credentials == EMPLOYEE:
            context.set_offline(True)
            tab.open("time/week/2020-01-13").page.locator(".panel.error").wait_for()
            yield "offline", tab
        context.close()
        for error in tab.errors:
            sys.stdout.write(f"{size} {scheme} {language}: {error}\n")


def _webp(tab: Tab) -> bytes:
    """Return what the window shows as a small picture."""
    data = base64.b64encode(tab.page.screenshot()).decode()
    return base64.b64decode(tab.page.evaluate(TO_WEBP, data))


def _wait(tab: Tab) -> None:
    tab.page.locator("main:not([aria-busy])").wait_for()
    tab.page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
