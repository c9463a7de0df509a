"""The commands of README.md and docs/tutorial.md are run as they stand there, and print what the tutorial shows."""

import csv
import io
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.factories import PASSWORD
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


def run_commands(commands, service, folder, *options):
    script = commands.replace("http://127.0.0.1:8000", service.base_url)
    command = ["bash", *options, "-c", script]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=folder)


def run_page(page, service, folder):
    """Run all commands of a page, each of which must succeed, and return their output."""
    done = run_commands("\n".join(COMMANDS.findall(page.read_text())), service, folder, "-euo", "pipefail")
    assert done.returncode == 0, done.stdout
    return done.stdout


def without_variables(output):
    """Mask what differs from run to run (ids, instants, lengths of time), and how long lines are wrapped."""
    return re.sub(r"\d+", "0", re.sub(r"\b[0-9a-f]{16}\b|\d+\.\d+|\s", lambda match: match[0].strip() and "0", output))


def test_a_newcomer_follows_the_tour_from_login_to_csv(fresh_service, tmp_path):
    output = run_page(TUTORIAL, fresh_service, tmp_path)

    exported = output[output.index("employee_id,employee_name") :].partition("\n\n")[0]
    rows = csv.DictReader(io.StringIO(exported))
    assert {(row["employee_name"], row["project_name"]) for row in rows} == {("Ana Silva", "Website")}
    outputs = OUTPUTS.findall(TUTORIAL.read_text())
    assert len(outputs) > 5
    assert [each for each in outputs if without_variables(each) not in without_variables(output)] == []


def test_the_quickstart_of_the_readme_clocks_in_and_out(fresh_service, tmp_path):
    output = run_page(README, fresh_service, tmp_path)

    assert re.search(r'"end_time":"[^"]+"', output)


def test_a_second_quickstart_names_what_is_taken_and_clocks_in_all_the_same(fresh_service, tmp_path):
    """As in a shell, where a failed command does not end the following ones."""
    (quickstart,) = COMMANDS.findall(README.read_text())
    run_page(README, fresh_service, tmp_path)

    second = run_commands(quickstart, fresh_service, tmp_path)

    assert '"code": "project_name_taken"' in second.stdout
    assert re.search(r'"end_time":"[^"]+"', second.stdout)
    assert "Traceback" not in second.stdout


def test_the_quickstart_on_a_server_that_is_not_there_names_the_cause(fresh_service, tmp_path):
    (quickstart,) = COMMANDS.findall(README.read_text())
    fresh_service.stop()

    done = run_commands(quickstart, fresh_service, tmp_path)

    assert done.stdout.startswith("curl: (7) ")
    assert "Traceback" not in done.stdout


def test_a_wrong_password_in_the_tutorial_is_named_by_the_response(fresh_service, tmp_path):
    helpers = COMMANDS.findall(TUTORIAL.read_text())[0]

    done = run_commands(f"{helpers}\nlogin admin@example.com forgotten", fresh_service, tmp_path)

    assert '"code": "invalid_credentials"' in done.stdout
    assert "Traceback" not in done.stdout


def test_a_user_with_a_plus_in_the_address_logs_in_as_in_the_tutorial(people, fresh_service, tmp_path):
    people.employee("Ana", email="ana+time@example.com")
    helpers = COMMANDS.findall(TUTORIAL.read_text())[0]

    done = run_commands(f'{helpers}\nlogin ana+time@example.com "{PASSWORD}"', fresh_service, tmp_path)

    assert re.fullmatch(r"[\w.-]{100,}\n", done.stdout), done.stdout
