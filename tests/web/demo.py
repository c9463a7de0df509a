"""The demo company in a service of its own, where two users are clocked in, and one must choose a password."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.core.config.settings import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD, DEMO_PASSWORD
from tests.support.databases import SECRET_KEY
from tests.support.server_process import TLS, Backend

MANAGER = ("ben.becker@example.com", DEMO_PASSWORD)
EMPLOYEE = ("carla.costa@example.com", DEMO_PASSWORD)
ADMIN = (DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD)
NEWCOMER = ("nora.novak@example.com", "violet-harbour-42-lantern")


@contextmanager
def demo_company() -> Iterator[str]:
    """Run the service on SQLite until the block ends. Yields its address."""
    with tempfile.TemporaryDirectory() as data:
        db_url = f"sqlite:///{data}/time.db"
        backend = Backend(db_url, Path(data))
        try:
            command = [sys.executable, "-m", "app.cli", "demo", "--force"]
            settings = {"DB_URL": db_url, "SECRET_KEY": SECRET_KEY}
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | settings)
            _prepare(f"{backend.base_url}/api/v1")
            yield backend.base_url
        finally:
            backend.kill()


def _prepare(api: str) -> None:
    for email, password in (EMPLOYEE, MANAGER):
        with _logged_in(api, email, password) as client:
            project = client.get("/projects").json()[0]["id"]
            client.post("/time-entries/clock-in", json={"project_id": project, "description": "Release notes"})
    email, password = NEWCOMER
    body = {"email": email, "first_name": "Nora", "last_name": "Novak", "role": "employee", "password": password}
    with _logged_in(api, *ADMIN) as client:
        client.post("/admin/users", json=body | {"must_change_password": True}).raise_for_status()


def _logged_in(api: str, email: str, password: str) -> httpx.Client:
    form = {"username": email, "password": password}
    token = httpx.post(f"{api}/auth/login", data=form, verify=TLS).raise_for_status().json()["access_token"]
    return httpx.Client(base_url=api, headers={"Authorization": f"Bearer {token}"}, verify=TLS)
