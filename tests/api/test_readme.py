"""The commands of README.md and docs/tutorial.md are run as they stand there, and print what the tutorial shows."""

import csv
import io
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.server_process import Backend

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
COMMANDS = re.compile(r"```bash\n(.*?)```", re.DOTALL)
OUTPUTS = re.compile(r"```bash\n[^`]*?```\n\n```(?:json|text)\n(.*?)```", re.DOTALL)


@pytest.fixture
def fresh_service(db_url, tmp_path):
    backend = Backend(db_url, tmp_path)
    yield backend
    backend.stop()


def run_commands(page, service, folder):
    script = "\n".join(COMMANDS.findall(page.read_text())).replace("http://127.0.0.1:8000", service.base_url)
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout
    return done.stdout


def without_variables(output):
    """Mask what differs from run to run (ids, instants, lengths of time), and how long lines are wrapped."""
    return re.sub(r"\d+", "0", re.sub(r"\b[0-9a-f]{16}\b|\d+\.\d+|\s", lambda match: match[0].strip() and "0", output))


def test_a_newcomer_follows_the_tour_from_login_to_csv(fresh_service, tmp_path):
    output = run_commands(TUTORIAL, fresh_service, tmp_path)

    rows = csv.DictReader(io.StringIO(output[output.index("employee_id,employee_name") :]))
    assert {(row["employee_name"], row["project_name"]) for row in rows} == {("Ana Silva", "Website")}
    outputs = OUTPUTS.findall(TUTORIAL.read_text())
    assert len(outputs) > 5
    assert [each for each in outputs if without_variables(each) not in without_variables(output)] == []


def test_the_quickstart_of_the_readme_clocks_in_and_out(fresh_service, tmp_path):
    output = run_commands(README, fresh_service, tmp_path)

    assert re.search(r'"end_time":"[^"]+"', output)
