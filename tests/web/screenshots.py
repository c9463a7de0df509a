"""Take a screenshot of every page, light and dark, on a phone and on a desktop.

Run it as `python -m tests.web.screenshots FOLDER`, and look at each picture before a release. The company is made up.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser

from app.core.config.settings import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD, DEMO_PASSWORD
from tests.support.databases import SECRET_KEY
from tests.support.server_process import TLS, Backend
from tests.web.browser import DESKTOP, PHONE, Tab, chromium, new_context

MANAGER, EMPLOYEE = "ben.becker@example.com", "carla.costa@example.com"
ROUTES = {
    (MANAGER, DEMO_PASSWORD): ("clock", "time/week", "time/month", "team", "account"),
    (DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD): ("admin/users", "admin/projects", "admin/timesheets"),
}
"""The pages by the credentials of who sees them."""
LOOKS: dict[str, dict[str, Any]] = {
    "phone-light-en": {"viewport": PHONE, "color_scheme": "light"},
    "phone-dark-de": {"viewport": PHONE, "color_scheme": "dark", "locale": "de-DE"},
    "desktop-light-de": {"viewport": DESKTOP, "color_scheme": "light", "locale": "de-DE"},
    "desktop-dark-en": {"viewport": DESKTOP, "color_scheme": "dark"},
}


def main(folder: Path) -> None:
    """Start a service with the demo company, and write one file for each page and look into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        backend = Backend(f"sqlite:///{data}/time.db", Path(data))
        try:
            command = [sys.executable, "-m", "app.cli", "demo", "--force"]
            settings = {"DB_URL": f"sqlite:///{data}/time.db", "SECRET_KEY": SECRET_KEY}
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | settings)
            _clock_in(f"{backend.base_url}/api/v1")
            with chromium() as browser:
                for look, options in LOOKS.items():
                    _photograph(browser, backend.base_url, folder, look, options)
        finally:
            backend.kill()


def _clock_in(api: str) -> None:
    """Let an employee and the manager be clocked in. The demo company has timesheets already."""
    for email in (EMPLOYEE, MANAGER):
        form = {"username": email, "password": DEMO_PASSWORD}
        token = httpx.post(f"{api}/auth/login", data=form, verify=TLS).raise_for_status().json()["access_token"]
        with httpx.Client(base_url=api, headers={"Authorization": f"Bearer {token}"}, verify=TLS) as client:
            project = client.get("/projects").json()[0]["id"]
            client.post("/time-entries/clock-in", json={"project_id": project, "description": "Release notes"})


def _photograph(browser: Browser, base_url: str, folder: Path, look: str, options: dict[str, Any]) -> None:
    for (email, password), routes in ROUTES.items():
        context = new_context(browser, **options)
        tab = Tab(context, base_url).open()
        tab.page.locator("h1").wait_for()
        tab.page.screenshot(path=folder / f"{look}-login.png", full_page=True)
        tab.log_in(email, password)
        for route in routes:
            tab.open(route)
            tab.page.locator("main:not([aria-busy])").wait_for()
            tab.page.screenshot(path=folder / f"{look}-{route.replace('/', '-')}.png", full_page=True)
        context.close()
        for error in tab.errors:
            sys.stdout.write(f"{look}: {error}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
