"""The types of the page: the compiler finds what the API would reject, before a browser does."""

import copy
import shutil

import pytest

from app.api.operations.page import FOLDER
from tests.support.in_process_server import openapi_document
from tests.web.type_check import faults

pytestmark = pytest.mark.system
PLANTED = """import { call } from "./api.js";
const entry = await call("GET", `time-entries/${1}`);
export const end = entry.ended_at;
await call("GET", "time-entries/curent");
await call("POST", "time-entries/clock-in", { body: { project: 1 } });
await call("GET", "team", { query: { page: 2 } });
await call("POST", "projects");
"""
"""Five faults, one in each line behind the second: a field, an address, a body, a parameter, a method."""


def test_every_call_of_the_page_is_one_of_the_openapi_document(tmp_path):
    assert faults(FOLDER, tmp_path, openapi_document()) == ""


def test_a_wrong_name_of_a_field_an_operation_or_a_parameter_is_found(tmp_path):
    page = shutil.copytree(FOLDER, tmp_path / "web")
    (page / "planted.js").write_text(PLANTED)

    found = faults(page, tmp_path, openapi_document()).splitlines()

    assert [line.partition("(")[2].partition(",")[0] for line in found if "planted.js" in line] == list("34567")


def test_a_field_that_the_api_renames_is_found_in_the_page(tmp_path):
    document = copy.deepcopy(openapi_document())
    fields = document["components"]["schemas"]["PersonalReport"]["properties"]
    fields["worked_seconds"] = fields.pop("total_seconds")

    assert "total_seconds" in faults(FOLDER, tmp_path, document)
