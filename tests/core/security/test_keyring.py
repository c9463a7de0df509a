"""The signing key in development: created once, in a file that only its owner can read."""

import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from app.core.config.settings import InvalidSettings, load_settings
from app.core.security.keyring import Keyring
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
    Path(".signing-key").write_text(content)

    with pytest.raises(InvalidSettings, match="SECRET_KEY_FILE is ") as error:
        signing_key()

    assert not content or content not in str(error.value)


def test_a_key_file_that_cannot_be_made_is_named():
    with pytest.raises(InvalidSettings, match=r"^SECRET_KEY_FILE can't be used \(No such file or directory\)"):
        signing_key(SECRET_KEY_FILE="no such folder/key")
