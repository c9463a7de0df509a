"""The check of the dependencies' advisories, and the dependencies that the service never imports."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.audit_dependencies import judge_advisories
from tests.support.cli import clean_environment
from tests.support.server_process import ROOT

NEVER_IMPORTED = ("ecdsa", "rsa", "pyasn1")
"""Dependencies of python-jose. It has backends of its own on them, and we use the one on cryptography."""
SERVICE_WITHOUT_THEM = """
import pkgutil, sys
from importlib import import_module
sys.modules |= dict.fromkeys(sys.argv[1:])  # an import of them fails, as if they were not installed
import app
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from app.core.config.settings import Settings
for module in pkgutil.walk_packages(app.__path__, "app."):
    module.name.endswith("__main__") or import_module(module.name)
signer = TokenSigner(Settings(_env_file=None, SECRET_KEY="thirty-two-characters-of-a-random-key"))
print(signer.read(signer.sign(7, 3, at=utc_now()), at=utc_now()).user_id)
"""
CLEAN = {"name": "fastapi", "version": "0.165", "vulns": []}
VULNERABLE = {"name": "jinja2", "version": "2.0", "vulns": [{"id": "PYSEC-1"}]}
UNKNOWN = {"name": "uvicorn", "skip_reason": "not found"}


def judge(*packages, required=False):
    return judge_advisories(json.dumps({"dependencies": packages}), is_required=required)


@pytest.mark.parametrize("report", ["", "no network", json.dumps({"dependencies": [UNKNOWN, UNKNOWN]})])
def test_without_a_network_the_check_says_that_nothing_was_checked_and_fails_where_it_is_required(report, capsys):
    assert judge_advisories(report, is_required=False) == 0
    output = capsys.readouterr().out
    assert "ADVISORIES WERE NOT CHECKED" in output
    assert "vulnerable" not in output
    assert judge_advisories(report, is_required=True) == 1


def test_a_package_without_an_answer_is_counted_as_not_checked(capsys):
    assert [judge(CLEAN, UNKNOWN), judge(CLEAN, UNKNOWN, required=True)] == [0, 1]
    assert "NOT CHECKED for 1 of 2 packages" in capsys.readouterr().out


@pytest.mark.parametrize("required", [False, True])
def test_a_vulnerable_package_fails_and_is_named(capsys, required):
    assert judge(CLEAN, VULNERABLE, UNKNOWN, required=required) == 1
    assert "jinja2 2.0: PYSEC-1" in capsys.readouterr().out


def test_a_complete_check_passes_where_it_is_required(capsys):
    assert judge(CLEAN, required=True) == 0
    assert capsys.readouterr().out == "1 packages checked for advisories, 0 vulnerable.\n"


def test_the_service_runs_without_the_packages_that_the_image_leaves_out(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", SERVICE_WITHOUT_THEM, *NEVER_IMPORTED],
        env=clean_environment(PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout) == (0, "7\n"), result.stderr


def test_the_image_leaves_them_out():
    uninstall = re.search(r"uninstall --yes (employee-time-tracking-api .*)", (ROOT / "Dockerfile").read_text())

    assert uninstall is not None
    assert uninstall[1].split() == ["employee-time-tracking-api", *NEVER_IMPORTED]
