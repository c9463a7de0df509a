"""The signing key in development: created once, in a file that only its owner can read."""

import os
import stat
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from app.core.config.settings import InvalidSettings, load_settings
from app.core.security.keyring import Keyring
from app.core.time.clock import utc_now
from app.services.operations.startup import prepare
from tests.core.config.test_settings import OWN_KEY, WEAK_KEYS
from tests.support.cli import clean_environment

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("no_settings")


def signing_key(**settings: str) -> str:
    return Keyring(load_settings(**settings)).signing_key


def test_the_signing_key_of_development_is_kept_where_only_its_owner_can_read_it():
    key = signing_key()

    assert stat.S_IMODE(Path(".signing-key").stat().st_mode) == 0o600
    assert signing_key() == key


def test_two_machines_make_two_keys():
    key = signing_key()

    assert signing_key(SECRET_KEY_FILE="another") != key


def test_an_own_secret_key_signs_and_leaves_no_file():
    assert signing_key(SECRET_KEY=OWN_KEY) == OWN_KEY
    assert not Path(".signing-key").exists()


def write_key_file(content, *, mode=0o600):
    file = Path(".signing-key")
    file.write_text(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_key_file_that_other_users_can_read_or_write_is_refused_with_what_to_run(mode):
    file = write_key_file(OWN_KEY, mode=mode)

    with pytest.raises(InvalidSettings) as error:
        signing_key()

    assert str(error.value) == f"SECRET_KEY_FILE can be read or changed by other users. Run: chmod 600 {file.resolve()}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_file_of_its_owner_alone_is_read(mode):
    write_key_file(OWN_KEY, mode=mode)

    assert signing_key() == OWN_KEY


def test_a_key_file_of_another_user_is_refused(monkeypatch):
    file = write_key_file(OWN_KEY)
    with suppress(PermissionError):  # as root, because a file of root is accepted
        os.chown(file, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)

    with pytest.raises(
        InvalidSettings, match=r"^SECRET_KEY_FILE belongs to another user\. Run: chown 4242 /.+/\.signing-key$"
    ):
        signing_key()


def test_a_database_or_a_settings_file_that_others_can_read_is_named_at_the_start(tmp_path):
    settings = load_settings(DB_URL="sqlite:///time.db")
    for name, mode in {"time.db": 0o644, ".env": 0o640}.items():
        Path(name).touch(mode=mode)
        Path(name).chmod(mode)

    warnings = prepare(settings, at=utc_now())

    assert warnings[:2] == [
        ".env can be read or changed by other users of this machine. Run: chmod 600 .env",
        f"{tmp_path}/time.db can be read or changed by other users of this machine. Run: chmod 600 {tmp_path}/time.db",
    ]
    for name in ("time.db", ".env"):
        Path(name).chmod(0o600)
    assert prepare(settings, at=utc_now()) == []


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Change to another folder, and return it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_key_lies_beside_the_sqlite_file_wherever_the_service_is_started(tmp_path, elsewhere):
    db_url = f"sqlite:///{tmp_path}/time.db"

    key = signing_key(DB_URL=db_url)

    assert (tmp_path / ".signing-key").read_text() == key
    assert list(elsewhere.iterdir()) == []


def test_two_names_of_one_sqlite_file_lead_to_one_key(tmp_path, elsewhere):
    (elsewhere / "link.db").symlink_to(tmp_path / "time.db")

    assert signing_key(DB_URL="sqlite:///link.db") == signing_key(DB_URL=f"sqlite:///{tmp_path}/time.db")


def test_with_postgresql_the_key_lies_in_the_working_directory(elsewhere):
    key = signing_key(DB_URL="postgresql://db.example.com/ett")

    assert (elsewhere / ".signing-key").read_text() == key


def test_a_key_that_an_earlier_version_made_in_the_working_directory_is_still_used(tmp_path, elsewhere):
    """Version 0.10 began a relative SECRET_KEY_FILE at the working directory."""
    write_key_file(OWN_KEY)
    (tmp_path / "time.db").touch()

    assert signing_key(DB_URL=f"sqlite:///{tmp_path}/time.db") == OWN_KEY
    assert not (tmp_path / ".signing-key").exists()


def test_a_new_database_does_not_take_the_key_of_another_one_in_the_working_directory(tmp_path, elsewhere):
    write_key_file(OWN_KEY)

    assert signing_key(DB_URL=f"sqlite:///{tmp_path}/time.db") != OWN_KEY


def test_a_key_beside_the_database_counts_before_one_in_the_working_directory(tmp_path, elsewhere):
    key = signing_key(DB_URL=f"sqlite:///{tmp_path}/time.db")
    (tmp_path / "time.db").touch()
    write_key_file(OWN_KEY)

    assert signing_key(DB_URL=f"sqlite:///{tmp_path}/time.db") == key


TWENTY_STARTS = """
import os
from app.core.config.settings import load_settings
from app.core.security.keyring import Keyring
for number in range(5):
    keyring = Keyring(load_settings(SECRET_KEY_FILE=f"key-{number}"))
    start, gun = os.pipe()
    for _ in range(20):
        if os.fork() == 0:
            os.close(gun)
            os.read(start, 1)  # returns in all processes at once, when the last `gun` is closed
            os.write(1, keyring.signing_key.encode() + b"\\n")
            os._exit(0)
    os.close(gun)
    for _ in range(20):
        os.wait()
"""


def test_twenty_processes_that_start_at_once_agree_on_one_signing_key(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", TWENTY_STARTS],
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )

    assert list(Counter(result.stdout.split()).values()) == [20] * 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"key-{number}" for number in range(5)]


@pytest.mark.parametrize("content", ["", "tea and biscuits", *WEAK_KEYS.values()])
def test_a_key_file_without_a_good_key_is_refused(content):
    write_key_file(content)

    with pytest.raises(InvalidSettings, match="SECRET_KEY_FILE is ") as error:
        signing_key()

    assert not content or content not in str(error.value)


def test_a_key_file_that_cannot_be_made_is_named():
    with pytest.raises(InvalidSettings, match=r"^SECRET_KEY_FILE can't be used \(No such file or directory\)"):
        signing_key(SECRET_KEY_FILE="no such folder/key")
