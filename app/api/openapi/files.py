"""Files in the OpenAPI document."""

from typing import Any

from app.schemas.reports.report import ExportFormat


def file_response(description: str, *formats: ExportFormat) -> dict[int | str, dict[str, Any]]:
    """Return the response with a file in one of these formats."""
    content = {each.media_type.partition(";")[0]: {"schema": _schema(each)} for each in formats}
    return {200: {"description": description, "content": content}}


def _schema(export_format: ExportFormat) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": 2**53}
    return schema | {"format": "binary"} if export_format is ExportFormat.xlsx else schema
