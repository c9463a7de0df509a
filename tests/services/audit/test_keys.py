"""A service starts, and is ready, only with the key that the newest audit events were chained with."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.core.config.settings import InvalidSettings, Settings, load_settings
from app.core.database.session import Database
from app.core.security.hash_chain import key_id
from app.core.time.clock import utc_now
from app.models.tables import AUDIT_EVENT
from app.services.access import locks
from app.services.audit import recorder
from app.services.audit.keys import NEWEST_EVENTS
from app.services.operations.startup import prepare
from tests.support.cli import error_line
from tests.support.credentials import create_second_factor
from tests.support.databases import POSTGRESQL, SECRET_KEY, settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import run_server
from tests.support.server_process import TLS

OTHER_KEY = "another-key-with-enough-randomness-8d02e7"
PRODUCTION = {"ENVIRONMENT": "production", "FIRST_ADMIN_EMAIL": "ada@example.com", "FIRST_ADMIN_PASSWORD": PASSWORD}
OTHERS = [{"SECRET_KEY": OTHER_KEY}, {"AUDIT_KEY": OTHER_KEY}]
ROTATED = [
    {"SECRET_KEY": OTHER_KEY, "AUDIT_PREVIOUS_KEYS": [SECRET_KEY]},
    {"AUDIT_KEY": OTHER_KEY, "AUDIT_PREVIOUS_KEYS": ["a key of years ago, 1f09ac", SECRET_KEY]},
    {"SECRET_KEY": OTHER_KEY, "AUDIT_KEY": SECRET_KEY},
]
SettingsFor = Callable[..., Settings]


@pytest.fixture
def production(db_url: str) -> SettingsFor:
    """Settings of a production service on the test's database."""
    return lambda **overrides: settings_for(db_url, **PRODUCTION | overrides)


@pytest.fixture
def ada(people):
    """An admin, whose events are chained with SECRET_KEY."""
    return people.admin("Ada")


def readiness(settings: Settings) -> tuple[int, str | None]:
    """Run a service that was not checked at its start, and return the status and problem code of its readiness."""
    with run_server(settings) as server:
        answer = httpx.get(f"{server.base_url}/health/ready", verify=TLS)
    return answer.status_code, answer.json().get("code")


def write(settings: Settings, user_id: int, *, events: int = 1) -> None:
    """Chain events of this user as a service with these settings does."""
    with closing(Database(settings)) as database, database.write_transaction("test") as session:
        locks.lock_users(session, user_id)
        for _ in range(events):
            recorder.record(session, "project:note", at=utc_now(), actor_id=None, subject_id=user_id)


@pytest.mark.parametrize("other", OTHERS, ids=lambda settings: next(iter(settings)))
def test_production_does_not_start_under_another_key(production, ada, other):
    with pytest.raises(InvalidSettings, match="AUDIT_PREVIOUS_KEYS") as refused:
        prepare(production(**other), at=utc_now())

    message = str(refused.value)
    assert key_id(SECRET_KEY) in message
    assert "\n" not in message
    assert not any(key in message for key in (SECRET_KEY, OTHER_KEY))
    assert readiness(production(**other)) == (503, "audit_key_unknown")


@pytest.mark.parametrize("other", OTHERS, ids=lambda settings: next(iter(settings)))
def test_development_does_not_start_under_another_key_either(db_url, ada, other):
    with pytest.raises(InvalidSettings, match="AUDIT_PREVIOUS_KEYS"):
        prepare(settings_for(db_url, **other), at=utc_now())

    assert readiness(settings_for(db_url, **other)) == (503, "audit_key_unknown")


def test_the_readiness_check_warns_of_a_key_that_only_some_events_have(db_url, ada, capfd):
    write(settings_for(db_url, AUDIT_KEY=OTHER_KEY), ada.id)

    assert readiness(settings_for(db_url)) == (200, None)
    assert "AUDIT_PREVIOUS_KEYS" in capfd.readouterr().err


def test_commands_in_two_folders_chain_one_audit_log(few_days, run_cli, tmp_path, monkeypatch):
    """With one absolute DB_URL, and the key that development generates."""
    own = {"DB_URL": f"sqlite:///{tmp_path}/time.db", "SECRET_KEY": ""}
    (tmp_path / "elsewhere").mkdir()

    assert run_cli("demo", **own).exit_code == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_cli("create-admin", "ada@example.com", stdin=PASSWORD, **own).exit_code == 0

    assert run_cli("verify-audit", **own).exit_code == 0
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("other", ["", OTHER_KEY], ids=["missing", "another"])
@pytest.mark.parametrize(
    "arguments",
    [["demo", "--force"], ["create-admin", "bob@example.com"], ["verify-audit"], ["audit-checkpoint"]],
    ids=lambda arguments: arguments[0],
)
def test_no_command_goes_on_without_the_key_of_the_database(run_cli, tmp_path, arguments, other):
    own = {"DB_URL": f"sqlite:///{tmp_path}/time.db", "SECRET_KEY": ""}
    run_cli("create-admin", "ada@example.com", stdin=PASSWORD, **own)
    (tmp_path / ".signing-key").unlink()

    message = error_line(run_cli(*arguments, stdin=PASSWORD, **own | {"SECRET_KEY": other}))

    assert ("AUDIT_PREVIOUS_KEYS" if other else f"{tmp_path}/.signing-key does not exist") in message
    assert not (tmp_path / ".signing-key").exists()


def test_a_start_without_the_key_of_the_database_is_refused_and_makes_no_other(run_cli, tmp_path):
    settings = load_settings(DB_URL=f"sqlite:///{tmp_path}/time.db")
    prepare(settings, at=utc_now())
    (tmp_path / ".signing-key").unlink()

    with pytest.raises(InvalidSettings, match=r"\.signing-key does not exist\. Set SECRET_KEY, or copy"):
        prepare(settings, at=utc_now())

    assert not (tmp_path / ".signing-key").exists()


def test_an_upgrade_finds_the_key_in_the_working_directory_and_says_where_it_belongs(run_cli, tmp_path, monkeypatch):
    """As version 0.10 left it, with DB_URL in another folder."""
    settings = load_settings(DB_URL=f"sqlite:///{tmp_path}/time.db")
    prepare(settings, at=utc_now())
    (tmp_path / "service").mkdir()
    (tmp_path / ".signing-key").rename(tmp_path / "service" / ".signing-key")
    monkeypatch.chdir(tmp_path / "service")

    (warning,) = prepare(settings, at=utc_now())

    command = f"cp -p {tmp_path}/service/.signing-key {tmp_path}/.signing-key"
    assert warning.endswith(f"Run: {command}")
    subprocess.run(command.split(), check=True)
    assert prepare(settings, at=utc_now()) == []


def test_with_an_audit_key_the_signing_key_may_be_lost(run_cli, tmp_path):
    settings = load_settings(DB_URL=f"sqlite:///{tmp_path}/time.db", AUDIT_KEY=OTHER_KEY)
    prepare(settings, at=utc_now())
    (tmp_path / ".signing-key").unlink()

    assert prepare(settings, at=utc_now()) == []
    assert (tmp_path / ".signing-key").exists()


@pytest.mark.parametrize("rotated", ROTATED, ids=["SECRET_KEY", "AUDIT_KEY", "SECRET_KEY beside AUDIT_KEY"])
def test_production_starts_where_the_former_key_is_named(production, ada, rotated):
    assert prepare(production(**rotated), at=utc_now()) == []
    assert readiness(production(**rotated)) == (200, None)


def test_while_a_key_is_changed_old_and_new_workers_are_ready_and_restart(production, ada):
    old, new = production(), production(AUDIT_KEY=OTHER_KEY, AUDIT_PREVIOUS_KEYS=[SECRET_KEY])

    for events in (1, 3, NEWEST_EVENTS - 10):
        write(old, ada.id)
        write(new, ada.id, events=events)

        assert readiness(old) == readiness(new) == (200, None)
        assert prepare(new, at=utc_now()) == []
        assert len(prepare(old, at=utc_now())) == 1


def test_once_a_key_was_changed_a_worker_with_the_old_one_does_not_start(production, ada):
    write(production(AUDIT_KEY=OTHER_KEY, AUDIT_PREVIOUS_KEYS=[SECRET_KEY]), ada.id, events=NEWEST_EVENTS)

    with pytest.raises(InvalidSettings, match=key_id(OTHER_KEY)):
        prepare(production(), at=utc_now())


@pytest.mark.parametrize("engine", [POSTGRESQL])  # Alembic, which runs for SQLite, does not run in two threads
def test_of_two_first_starts_at_once_with_two_keys_one_is_refused(production, database):
    def start(key: str) -> bool:
        try:
            prepare(production(SECRET_KEY=key), at=utc_now())
        except InvalidSettings:
            return False
        return True

    with ThreadPoolExecutor(2) as machines:
        started = list(machines.map(start, (SECRET_KEY, OTHER_KEY)))

    assert sorted(started) == [False, True]
    with database.read_transaction() as session:
        keys = session.execute(select(AUDIT_EVENT.c.key_id).distinct()).scalars().all()
    assert keys == [key_id(SECRET_KEY if started[0] else OTHER_KEY)]


def test_a_command_in_production_does_not_write_under_another_key(run_command, ada):
    own = {**PRODUCTION, "SECRET_KEY": OTHER_KEY}

    assert "AUDIT_PREVIOUS_KEYS" in error_line(run_command("erase-user", str(ada.id), **own))


def test_where_the_key_is_lost_a_backup_lets_the_service_start_again(production, run_command, ada, tmp_path):
    own = {**PRODUCTION, "SECRET_KEY": OTHER_KEY}

    done = run_command("backup", str(tmp_path / "backup"), **own)

    assert done.exit_code == 0, done.stderr
    assert len(prepare(production(SECRET_KEY=OTHER_KEY), at=utc_now())) == 1


def test_a_start_under_another_key_of_second_factors_warns(production, database, ada):
    assert prepare(production(), at=utc_now()) == []
    create_second_factor(database, ada)

    (warning,) = prepare(production(TOTP_KEY=OTHER_KEY), at=utc_now())

    assert "TOTP_PREVIOUS_KEYS" in warning
    assert prepare(production(TOTP_KEY=OTHER_KEY, TOTP_PREVIOUS_KEYS=[SECRET_KEY]), at=utc_now()) == []
