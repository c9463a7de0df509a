"""Every operation of the OpenAPI document, with a valid request built from the document's examples.

Request bodies are JSON text per field, because hostile tests send texts that Python can't serialise.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from app.api.http.body_limits import MAX_AUTH_BODY_BYTES
from app.services.users.csv_cells import MAX_FILE_BYTES
from tests.support.in_process_server import openapi_document

DOCUMENT = openapi_document()
MIB = 1024 * 1024
LOGINS = {"POST /api/v1/auth/login", "POST /api/v1/auth/page/login"}
"""The operations that take a form."""
Schema = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """An operation with a valid request, whose fields and parameters have the example values of the document."""

    method: str
    path: str
    definition: dict[str, Any]
    schemas: dict[str, Any] = field(default_factory=lambda: DOCUMENT["components"]["schemas"])

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def address(self) -> str:
        """Return the path with an id of 1 and with the example of a day."""
        parameters = self.definition.get("parameters", [])
        days = {
            each["name"]: each["example"] for each in parameters if each["in"] == "path" and "pattern" in each["schema"]
        }
        return re.sub(r"\{(\w+)\}", lambda match: days.get(match[1], "1"), self.path)

    @property
    def parameters(self) -> dict[str, Schema]:
        return {each["name"]: each for each in self.definition.get("parameters", []) if each["in"] == "query"}

    @property
    def fields(self) -> dict[str, Schema]:
        for media in self.definition.get("requestBody", {}).get("content", {}).values():
            if "$ref" not in media["schema"]:
                return {}  # an uploaded file
            name = media["schema"]["$ref"].rpartition("/")[2]
            return dict(self.schemas[name]["properties"])
        return {}

    @property
    def body(self) -> dict[str, str]:
        """Return the fields of the body as JSON text."""
        for media in self.definition.get("requestBody", {}).get("content", {}).values():
            return {name: json.dumps(value) for name, value in media["example"].items()} if self.fields else {}
        return {}

    @property
    def file(self) -> str | None:
        """Return the body of an upload."""
        return self.definition.get("requestBody", {}).get("content", {}).get("text/csv", {}).get("example")

    @property
    def max_bytes(self) -> int:
        if self.file:
            return MAX_FILE_BYTES
        return MAX_AUTH_BODY_BYTES if self.address.startswith("/api/v1/auth/") else MIB

    @property
    def query(self) -> dict[str, str]:
        examples = {
            name: each["schema"]["examples"][0] for name, each in self.parameters.items() if each.get("required")
        }
        return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in examples.items()}

    def send(self, client: Any, *, body: dict[str, str] | None = None, query: dict[str, str] | None = None) -> Any:
        """Send the valid request with some fields or parameters changed or added. Query values are sent unencoded."""
        query_string = "&".join(f"{name}={value}" for name, value in (self.query | (query or {})).items())
        fields = self.body | (body or {})
        if self.name in LOGINS:
            options: dict[str, Any] = {"data": {name: json.loads(value) for name, value in fields.items()}}
        elif fields:
            content = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}"
            options = {"content": content, "headers": {"Content-Type": "application/json"}}
        elif self.file:
            options = {"content": self.file, "headers": {"Content-Type": "text/csv"}}
        else:
            options = {}
        return client.at_root(
            self.method, f"{self.address}?{query_string}" if query_string else self.address, **options
        )


OPERATIONS = [
    Operation(method.upper(), path, definition)
    for path, methods in DOCUMENT["paths"].items()
    for method, definition in methods.items()
]
