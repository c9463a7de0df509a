"""No secret is in the logs or the audit log, even if a client sends it in the wrong field (threats 17)."""

import json
from datetime import timedelta
from itertools import count

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app import __version__
from app.core.database.session import Database
from app.core.time.clock import utc_now
from tests.support.credentials import Authenticator
from tests.support.databases import POSTGRESQL, SECRET_KEY, SQLITE, settings_for
from tests.support.server_process import Backend

ADMIN = "marker-admin-password-7f3a"
METRICS_TOKEN = "marker-of-who-scrapes-the-metrics-9c1e"
MARKER = "marker"
SOON = f"{utc_now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def backend(engine, db_url, tmp_path):
    """Run the service in production with its output in `backend.log`, as text on SQLite and as JSON on PostgreSQL."""
    running_backend = Backend(
        db_url,
        tmp_path,
        FIRST_ADMIN_EMAIL="ada@example.com",
        FIRST_ADMIN_PASSWORD=ADMIN,
        ENVIRONMENT="production",
        LOG_FORMAT="text" if engine == SQLITE else "json",
        METRICS_TOKEN=METRICS_TOKEN,
    )
    yield running_backend
    running_backend.stop()


@pytest.fixture
def api(backend):
    with httpx.Client(base_url=f"{backend.base_url}/api/v1") as client:
        yield client


def test_no_password_and_no_token_is_printed_or_recorded(backend, api, db_url):
    """Each secret contains the word marker. It is sent in its own field, or in a wrong one."""
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
        # a password or a token in a wrong field
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
        api.get(f"{backend.base_url}/metrics", headers={"Authorization": f"Bearer {next(secrets)}"}),
        api.get(f"/admin/users/{next(secrets)}", headers=headers),
        api.get("/admin/users", params={"search": next(secrets), "role": next(secrets)}, headers=headers),
        api.patch("/auth/me", json={"time_zone": next(secrets)}, headers=headers),
        api.request("BREW", "/auth/me", content=next(secrets)),
    ]
    codes = [answer.status_code for answer in answers]
    metrics = api.get(f"{backend.base_url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    backend.stop()

    assert metrics.status_code == 200
    assert MARKER not in metrics.text
    assert codes[:4] == [200, 201, 409, 200]
    assert set(codes[4:]) == {200, 400, 401, 404, 415, 422}
    printed = backend.log.read_text()
    assert len(printed.splitlines()) >= len(answers)
    recorded = audit_events(db_url)
    assert len(recorded) >= 6
    for where in (printed, "\n".join(recorded)):
        assert MARKER not in where
        assert token not in where
        assert token.split(".")[2] not in where
        assert SECRET_KEY not in where
        assert "argon2" not in where


def test_no_token_no_link_and_no_second_factor_is_printed_or_recorded(backend, api, db_url):
    """Each one is used in its own field, and in wrong ones."""
    form = {"username": "ada@example.com", "password": ADMIN}
    opened = api.post("/auth/login", data=form).json()
    headers = {"Authorization": f"Bearer {opened['access_token']}"}
    nora = {"email": "nora@example.com", "first_name": "Nora", "last_name": "Neu", "role": "employee"}
    script = {"name": "Script", "scopes": ["entries:read"], "expires_at": SOON}

    refreshed = api.post("/auth/refresh", json={"refresh_token": opened["refresh_token"]}).json()
    page = {"Origin": backend.base_url, "X-Requested-With": "page"}
    on_page = [api.post("/auth/page/login", data=form, headers=page), api.post("/auth/page/refresh", headers=page)]
    cookies = [answer.cookies["refresh"] for answer in on_page]
    api_token = api.post("/auth/api-tokens", json=script, headers=headers).json()["token"]
    nora_id = api.post("/admin/users", json=nora, headers=headers).json()["id"]
    link = api.post(f"/admin/users/{nora_id}/password-link", headers=headers).json()["token"]
    enrollment = api.post("/auth/totp", headers=headers).json()
    app = Authenticator(enrollment["secret"], [])
    confirmed = api.post("/auth/totp/confirm", json={"code": app.code()}, headers=headers).json()
    recovery_code, *unused = confirmed["recovery_codes"]
    secrets = [
        opened["refresh_token"],
        refreshed["refresh_token"],
        api_token,
        link,
        enrollment["secret"],
        recovery_code,
    ]
    new = {"new_password": "marker-violet-harbour-lantern"}
    answers = [
        api.post("/auth/login", data=form | {"otp": recovery_code}),
        api.post("/auth/password/set", json={"token": link} | new),
        api.get("/time-entries/current", headers={"Authorization": f"Bearer {api_token}"}),
        *(api.post("/auth/login", data=form | {"username": each, "otp": each[:40]}) for each in secrets),
        *(api.post("/auth/refresh", json={"refresh_token": each}) for each in secrets[2:]),
        *(api.post("/auth/password/set", json={"token": each} | new) for each in secrets[:3]),
        *(api.get("/auth/me", headers={"Authorization": f"Bearer {each}x"}) for each in secrets),
    ]
    in_paths = [api.get(f"/admin/users/{each}", headers=headers) for each in secrets]  # responses contain the path
    backend.stop()

    assert [answer.status_code for answer in answers[:3]] == [200, 204, 204]
    assert {answer.status_code for answer in answers[3:] + in_paths} == {401, 422}
    texts = "\n".join(answer.text for answer in [*answers[1:], *on_page])
    for where in (backend.log.read_text(), "\n".join(audit_events(db_url)), texts):
        assert [each for each in secrets + unused + cookies if each in where] == []
        assert MARKER not in where


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_request_is_logged_by_its_route_not_its_path(backend, api, db_url):
    """A log of paths would show whose data each user has read. The start event has the version and the database."""
    token = api.post("/auth/login", data={"username": "ada@example.com", "password": ADMIN}).json()["access_token"]

    answer = api.get("/admin/users/4711?search=nora", headers={"Authorization": f"Bearer {token}"})
    backend.stop()

    lines = [json.loads(line) for line in backend.log.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == answer.headers["X-Request-ID"]]
    assert line["route"] == "/admin/users/{user_id}"
    assert (line["method"], line["status"], line["event"]) == ("GET", 404, "request")
    assert (line["user_id"], line["address"]) == (1, "127.0.0.1")
    (started,) = [line for line in lines if line.get("event") == "started"]
    assert started["pid"] == line["pid"]
    assert (started["version"], started["environment"]) == (__version__, "production")
    assert started["database"].startswith("postgresql://")
    assert started["database"].rpartition("/")[2] == make_url(db_url).database
    assert lines[-1]["event"] == "stopped"
    assert "4711" not in backend.log.read_text()
    assert "nora" not in backend.log.read_text()


def audit_events(db_url: str) -> list[str]:
    """Return every audit event as text."""
    database = Database(settings_for(db_url))
    with database.read_transaction() as session:
        rows = [repr(row) for row in session.execute(text("SELECT * FROM audit_event"))]
    database.close()
    return rows
