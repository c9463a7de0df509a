"""Nothing secret in what the service prints and records, wherever people put it (THREATS 17)."""

import json
from itertools import count

import httpx
import pytest
from sqlalchemy import text

from app.core.db import Database
from tests.support.backend import Backend
from tests.support.databases import SECRET_KEY, settings_for

ADMIN = "marker-admin-password-7f3a"
MARKER = "marker"


@pytest.fixture
def backend(db_url, tmp_path):
    """The service as operators run it, with everything it prints in `backend.log`."""
    running = Backend(
        db_url, tmp_path, FIRST_ADMIN_EMAIL="ada@example.com", FIRST_ADMIN_PASSWORD=ADMIN, ENVIRONMENT="production"
    )
    yield running
    running.stop()


@pytest.fixture
def api(backend):
    with httpx.Client(base_url=f"{backend.base_url}/api/v1") as client:
        yield client


def test_no_password_and_no_token_is_printed_or_recorded(backend, api, db_url):
    """Each secret holds the word marker, and goes where it belongs and where people mistake it to belong."""
    secrets = (f"marker-{number}-violet-harbour-lantern" for number in count())
    signed_in = api.post("/auth/login", data={"username": "ada@example.com", "password": ADMIN})
    token = signed_in.json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    nora = {"email": "nora@example.com", "first_name": "Nora", "last_name": "Neu", "role": "employee"}

    answers = [
        signed_in,
        api.post("/admin/users", json=nora | {"password": next(secrets)}, headers=headers),
        api.post("/admin/users", json=nora | {"password": next(secrets)}, headers=headers),
        api.put("/admin/users/2/password", json={"password": next(secrets)}, headers=headers),
        # a password or a token where it doesn't belong
        api.post("/auth/login", data={"username": next(secrets), "password": next(secrets)}),
        api.post("/auth/login", data={"username": "ada@example.com", "password": next(secrets)}),
        api.post("/auth/login", data={"username": token, "password": token}),
        api.post("/auth/login", data={"username": f"\x00{next(secrets)}", "password": f"\x07{next(secrets)}"}),
        api.post("/auth/login", json={"username": "ada@example.com", "password": next(secrets)}),
        api.post("/auth/login", params={"username": "ada@example.com", "password": next(secrets)}),
        api.post("/auth/login", content=next(secrets)),
        api.post("/admin/users", json=nora | {"password": "short", "pasword": next(secrets)}, headers=headers),
        api.post("/admin/users", json=nora | {"role": next(secrets)}, headers=headers),
        api.post("/admin/users", content=f'{{"password": "{next(secrets)}', headers=headers),
        api.put("/admin/users/2/password", json=next(secrets), headers=headers),
        api.put("/admin/users/2/password", json={next(secrets): next(secrets)}, headers=headers),
        api.get("/auth/me", params={"access_token": token, "password": next(secrets)}, headers=headers),
        api.get("/auth/me", headers={"Authorization": f"Bearer {next(secrets)}"}),
        api.get("/auth/me", headers={"Authorization": f"Basic {next(secrets)}"}),
        api.get("/auth/me", headers={"Authorization": next(secrets), "Cookie": f"session={next(secrets)}"}),
        api.get("/auth/me", headers={"Authorization": f"Bearer {token}.{next(secrets)}"}),
        api.get("/auth/me", headers={"X-Request-ID": f"{next(secrets)} with a blank", "User-Agent": next(secrets)}),
        api.get(f"/{next(secrets)}"),
        api.get(f"/admin/users/{next(secrets)}", headers=headers),
        api.get("/admin/users", params={"search": next(secrets), "role": next(secrets)}, headers=headers),
        api.patch("/auth/me", json={"time_zone": next(secrets)}, headers=headers),
        api.request("BREW", "/auth/me", content=next(secrets)),
    ]
    codes = [answer.status_code for answer in answers]
    backend.stop()

    assert codes[:4] == [200, 201, 409, 200]
    assert set(codes[4:]) == {200, 400, 401, 404, 422}
    printed = backend.log.read_text()
    assert len(printed.splitlines()) >= len(answers)
    recorded = records(db_url)
    assert len(recorded) >= 6
    for where in (printed, "\n".join(recorded)):
        assert MARKER not in where
        assert token not in where
        assert token.split(".")[2] not in where
        assert SECRET_KEY not in where
        assert "argon2" not in where


def test_a_request_is_logged_by_its_route_not_its_path(backend, api):
    """A log of paths would be a log of who looked at whom."""
    token = api.post("/auth/login", data={"username": "ada@example.com", "password": ADMIN}).json()["access_token"]

    answer = api.get("/admin/users/4711?search=nora", headers={"Authorization": f"Bearer {token}"})
    backend.stop()

    lines = [json.loads(line) for line in backend.log.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == answer.headers["X-Request-ID"]]
    assert line["route"].startswith("/admin/users/{user_id")
    assert (line["method"], line["status"], line["event"]) == ("GET", 404, "request")
    assert (line["user_id"], line["address"]) == (1, "127.0.0.1")
    assert "4711" not in backend.log.read_text()
    assert "nora" not in backend.log.read_text()


def records(db_url: str) -> list[str]:
    """Every audit event, as text."""
    database = Database(settings_for(db_url))
    with database.reading() as session:
        rows = [repr(row) for row in session.execute(text("SELECT * FROM audit_event"))]
    database.close()
    return rows
