"""The check of the dependencies' advisories, and the dependencies that the service never imports."""

import json

import pytest

from tests.support.audit_dependencies import judge_advisories

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
