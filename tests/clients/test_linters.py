"""The OpenAPI document follows the recommended rules of two linters, without an error or a warning."""

import json

import pytest

pytestmark = pytest.mark.system


def test_redocly_finds_nothing(tools, document_file, tmp_path):
    output = tools.run_node(
        "redocly", "lint", "--extends", "recommended", "--format", "json", document_file, folder=tmp_path
    )
    report, _end = json.JSONDecoder().raw_decode(output[output.index("{\n") :])

    assert report["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


def test_spectral_finds_nothing(tools, document_file, tmp_path):
    (tmp_path / ".spectral.yaml").write_text("extends: [[spectral:oas, recommended]]\n")

    tools.run_node("spectral", "lint", "--fail-severity", "hint", document_file, folder=tmp_path)
