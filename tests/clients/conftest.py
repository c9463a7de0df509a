"""The tools, and the OpenAPI document as a file."""

import json
from pathlib import Path

import pytest

from tests.clients.tools import Tools
from tests.support.in_process_server import openapi_document


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()


@pytest.fixture
def document_file(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(openapi_document()))
    return path
