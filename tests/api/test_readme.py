"""The README's quickstart runs unchanged."""

import csv
import io
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.server_process import Backend

pytestmark = pytest.mark.system

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def fresh_service(db_url, tmp_path):
    backend = Backend(db_url, tmp_path)
    yield backend
    backend.stop()


def test_a_newcomer_follows_the_tour_from_login_to_csv(fresh_service, tmp_path):
    (tour,) = re.findall(r"```bash\n(.*?)```", README.read_text(), flags=re.DOTALL)
    script = tour.replace("http://127.0.0.1:8000", fresh_service.base_url)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = csv.DictReader(io.StringIO(done.stdout[done.stdout.index("employee_id,employee_name") :]))
    assert {(row["employee_name"], row["project_name"]) for row in rows} == {("Ana Silva", "Website")}
