"""The shipped alerts: Prometheus accepts them, they fire as expected, and they name existing metrics and runbooks."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.system_packages import find_program

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = (FOLDER / "alerts.yml").read_text()


def promtool(*arguments: str) -> None:
    result = subprocess.run(
        [find_program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_takes_the_rules_and_the_example_of_a_configuration():
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_each_alert_rings_when_it_should_and_not_when_all_is_well():
    promtool("test", "rules", "alerts_test.yml")

    named = set(re.findall(r"alert: (\w+)", RULES))
    tested = (FOLDER / "alerts_test.yml").read_text()
    assert {name for name in named if tested.count(name) >= 2} == named  # one case that fires, and one that does not


def test_each_alert_sends_the_operator_to_a_section_that_is_there():
    _, _, runbooks = (ROOT / "docs" / "operations.md").read_text().partition("\n## Alerts and runbooks\n")
    sections = re.findall(r"^### (.+)$", runbooks.partition("\n## ")[0], re.MULTILINE)

    sent_to = re.findall(r"runbook: docs/operations\.md#(\S+)", RULES)

    assert sent_to == [section.lower().replace(" ", "-") for section in sections]
