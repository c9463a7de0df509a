"""Generated clients in Python and TypeScript do a working day with the programs of docs/clients.md."""

import os
import re
import subprocess
import sys

import pytest

from app.core.database.migrations import ROOT
from tests.clients.tools import RUN_SECONDS
from tests.support.databases import POSTGRESQL
from tests.support.factories import PASSWORD
from tests.support.in_process_server import openapi_document
from tests.support.system_packages import find_program

pytestmark = [pytest.mark.system, pytest.mark.parametrize("engine", [POSTGRESQL])]
GUIDE = (ROOT / "docs" / "clients.md").read_text()
OPERATION_IDS = {
    operation["operationId"] for methods in openapi_document()["paths"].values() for operation in methods.values()
}


PYTHON_FILES = """
from time_tracking_client.api.exports import export_entries_json, export_entries_xlsx, export_timesheet_pdf
from time_tracking_client.api.auth import export_my_data

lines, sheet = (each.sync_detailed(client=me, **today) for each in (export_entries_json, export_entries_xlsx))
pdf = export_timesheet_pdf.sync_detailed(client=me, month=today["start_date"].isoformat()[:7])
print(*[each.content[:2].decode() for each in (lines, sheet, pdf)], export_my_data.sync(client=me).user.email)
"""
TYPESCRIPT_FILES = """
const lines = await api.GET("/api/v1/reports/export/json", { params, parseAs: "text" });
const sheet = await api.GET("/api/v1/reports/export/xlsx", { params, parseAs: "arrayBuffer" });
const query = { month: today.slice(0, 7) };
const pdf = await api.GET("/api/v1/reports/export/pdf", { params: { query }, parseAs: "arrayBuffer" });
const own = await api.GET("/api/v1/auth/me/export");
const first = (file: unknown) => Buffer.from(file as ArrayBuffer).toString("latin1", 0, 2);
console.log(lines.data?.slice(0, 2), first(sheet.data), first(pdf.data), own.data?.user.email);
"""
"""Exports of other media types, added to the programs of the guide."""


def code_block(language, *, containing):
    (block,) = [each for each in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if containing in each]
    return block


def run_program(command, folder, server, user):
    """Run a program of the guide as the user, and return the lines that it prints."""
    own = {"API_URL": server.base_url, "API_USER": user.email, "API_PASSWORD": PASSWORD}
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def check_working_day(lines, client, user):
    """Check that the program clocked in and out, and listed, reported and exported that entry."""
    (entry,) = client.get("/time-entries").json()
    assert (entry["user_id"], entry["description"]) == (user.id, "Landing page")
    assert entry["end_time"] is not None
    assert lines[0] == f"1 entries, {entry['id']} is closed"
    assert lines[1] == "0 hours"
    assert lines[2].startswith("employee_id,employee_name,project_name,date,")
    assert lines[3].startswith(f"{user.id},Mia ")
    assert lines[-1] == f'{{" PK %P {user.email}'


def test_a_python_client_has_every_operation_and_does_a_working_day(
    server, as_user, people, tools, document_file, tmp_path
):
    mia, _ = people.manager("Mia"), people.project("Website")
    (tmp_path / "client.yaml").write_text(code_block("yaml", containing="content_type_overrides"))
    (tmp_path / "day.py").write_text(code_block("python", containing="clock_in") + PYTHON_FILES)
    options = (
        "--meta",
        "none",
        "--output-path",
        "time_tracking_client",
        "--config",
        "client.yaml",
        "--fail-on-warning",
    )
    output = tools.run_python("openapi_python_client", "generate", "--path", document_file, *options, folder=tmp_path)

    lines = run_program([sys.executable, "day.py"], tmp_path, server, mia)

    assert "WARNING" not in output.upper()
    assert {each.stem for each in (tmp_path / "time_tracking_client" / "api").glob("*/*.py")} - {
        "__init__"
    } == OPERATION_IDS
    check_working_day(lines, as_user(mia), mia)


def test_a_typescript_client_has_every_operation_and_does_a_working_day(
    server, as_user, people, tools, document_file, tmp_path
):
    mia, _ = people.manager("Mia"), people.project("Website")
    (tmp_path / "node_modules").symlink_to(tools.folder / "node_modules")
    (tmp_path / "day.mts").write_text(code_block("ts", containing="clock-in") + TYPESCRIPT_FILES)
    options = ("--default-non-nullable=false", "-o", "api.d.ts")
    output = tools.run_node("openapi-typescript", document_file, *options, folder=tmp_path)
    strict = "--strict --target es2022 --module nodenext --skipLibCheck --types node"
    tools.run_node("tsc", "day.mts", *strict.split(), folder=tmp_path)

    lines = run_program([find_program("node"), "day.mjs"], tmp_path, server, mia)

    declared = set(re.findall(r"^    (\w+): \{$", (tmp_path / "api.d.ts").read_text(), re.MULTILINE))
    assert "warn" not in output.lower()
    assert OPERATION_IDS - declared == set()
    check_working_day(lines, as_user(mia), mia)
