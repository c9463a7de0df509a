"""Ten employees try to fill a small disk within every limit. The service must stay ready.

`python -m benchmarks.disk_filling FOLDER --minutes 10` starts the service with an SQLite file in FOLDER. It should be a
file system of its own (`mount -t tmpfs -o size=300m tmpfs FOLDER`). Each employee changes descriptions of 8 KB one by
one and in bulk and punches with them, with an Idempotency-Key each, and logs in again when a limit is reached. The
output has the statuses of the responses and of the readiness check, and the bytes written per employee.
"""

import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import httpx
import typer

from app.core.database.migrations import migrate
from app.core.database.session import Database
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.server_process import TLS, Backend

EMPLOYEES = 10
ENTRIES = 50
FRUITS = "\N{RED APPLE}", "\N{GREEN APPLE}"


def main(folder: Path, minutes: Annotated[float, typer.Option()] = 10) -> None:
    """Run the attack and print its results."""
    url = f"sqlite:///{folder}/time_tracking.db"
    database = Database(settings_for(url))
    migrate(database)
    company = Company(database)
    website = company.project("Website")
    staff = [company.employee(f"Person {number}") for number in range(EMPLOYEES)]
    backend = Backend(url, folder, REQUESTS_PER_MINUTE="1200", TMPDIR=str(folder), MIN_FREE_DISK_MB="100")
    before = shutil.disk_usage(folder).used
    ready, statuses = Counter[int](), Counter[int]()
    deadline = time.monotonic() + minutes * 60
    try:
        with ThreadPoolExecutor(EMPLOYEES + 1) as pool:
            attacks = [pool.submit(_attack, backend, user.email, website.id, deadline) for user in staff]
            while time.monotonic() < deadline:
                ready[httpx.get(f"{backend.base_url}/health/ready", verify=TLS, timeout=30).status_code] += 1
                time.sleep(1)
            for attack in attacks:
                statuses += attack.result()
    finally:
        backend.kill()
    grown = shutil.disk_usage(folder).used - before
    typer.echo(f"answers {dict(statuses)}, readiness {dict(ready)}")
    typer.echo(f"{grown / 1e6:.0f} MB written, {grown / EMPLOYEES / 1e6:.1f} MB per employee")


def _attack(backend: Backend, email: str, project_id: int, deadline: float) -> Counter[int]:
    statuses = Counter[int]()
    with httpx.Client(base_url=f"{backend.base_url}/api/v1", verify=TLS, timeout=60) as client:
        _log_in(client, email)
        entries = _create_entries(client, project_id)
        turn = 0
        while time.monotonic() < deadline:
            turn += 1
            text = FRUITS[turn % 2] * 2000
            change = {"description": f"{turn} {text}"[:2000], "reason": text[:500]}
            operations = [{"action": "change", "id": entry} | change for entry in entries]
            answer = _send(client, "POST", "/time-entries/bulk", {"operations": operations})
            statuses[answer.status_code] += 1
            answer = _send(client, "PATCH", f"/time-entries/{entries[0]}", change)
            statuses[answer.status_code] += 1
            punch = {"project_id": project_id, "description": change["description"]}
            punched = _send(client, "POST", "/time-entries/clock-in?switch=true", punch)
            statuses[punched.status_code] += 1
            if answer.status_code == 429:
                _log_in(client, email)
    return statuses


def _log_in(client: httpx.Client, email: str) -> None:
    answer = client.post("/auth/login", data={"username": email, "password": PASSWORD})
    if answer.status_code == 200:
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    else:
        time.sleep(1)


def _create_entries(client: httpx.Client, project_id: int) -> list[int]:
    entries = []
    for number in range(ENTRIES):
        day, hour = divmod(number, 20)
        body = {
            "project_id": project_id,
            "start_time": f"2026-11-{day + 1:02}T{hour:02}:00:00Z",
            "end_time": f"2026-11-{day + 1:02}T{hour:02}:30:00Z",
            "reason": "Forgot",
        }
        answer = client.post("/time-entries", json=body)
        answer.raise_for_status()
        entries.append(answer.json()["id"])
    return entries


def _send(client: httpx.Client, method: str, path: str, body: object) -> httpx.Response:
    return client.request(method, path, json=body, headers={"Idempotency-Key": str(uuid4())})


if __name__ == "__main__":
    typer.run(main)
