"""Conversion between requests of the model and HTTP requests and responses."""

from datetime import date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from httpx import Response

from tests.api.state_machine.model import FOREVER, Bulk, Change, ClockIn, ClockOut, Create, Delete, Request
from tests.support.in_process_server import Caller


def send(caller: Caller, request: Request, key: str | None, zone: str) -> Response:
    method, address, options = "POST", "/time-entries", {}
    headers = {"Idempotency-Key": key} if key else {}
    match request:
        case ClockIn(project_id, description, switch):
            address += "/clock-in"
            options = {"json": {"project_id": project_id, "description": description}, "params": {"switch": switch}}
        case ClockOut(entry_id):
            address += f"/{entry_id}/clock-out" if entry_id else "/clock-out"
        case Create():
            options = {"json": body_of(request, zone)}
        case Bulk():
            address += "/bulk"
            options = {"json": {"operations": [operation_of(each, zone) for each in request.operations]}}
        case Change() | Delete():
            address += f"/{request.entry_id}"
            if request.version is not None:
                headers["If-Match"] = f'"{request.version}"'
            if isinstance(request, Change):
                method, options = "PATCH", {"json": body_of(request, zone)}
            else:
                method, options = "DELETE", {"params": body_of(request, zone)}
    return caller.request(method, address, headers=headers, **options)


def body_of(request: Create | Change | Delete, zone: str) -> dict[str, Any]:
    """Return the fields to send, without None. Instants have the UTC offset of the caller's zone."""
    fields = dict(vars(request))
    fields |= dict(fields.pop("sent", ()))
    fields = {
        name: value for name, value in fields.items() if value is not None and name not in {"entry_id", "version"}
    }
    return {
        name: value.astimezone(ZoneInfo(zone)).isoformat() if isinstance(value, datetime) else value
        for name, value in fields.items()
    }


def operation_of(request: Create | Change | Delete, zone: str) -> dict[str, Any]:
    fields = {"action": type(request).__name__.lower(), **body_of(request, zone)}
    if not isinstance(request, Create):
        fields["id"] = request.entry_id
        if request.version is not None:
            fields["version"] = request.version
    return fields


def ids_of_created(response: Response, request: Request) -> list[int]:
    if response.is_error:
        return []
    match request:
        case ClockIn() | Create():
            return [response.json()["id"]]
        case Bulk():
            return [each["id"] for each in response.json()["results"] if each["action"] == "create"]
        case _:
            return []


def without_project(entry: dict[str, Any]) -> dict[str, Any]:
    assert entry["project"]["id"] == entry["project_id"]
    return {name: value for name, value in entry.items() if name != "project"}


def bounds_of(entry: dict[str, Any]) -> tuple[datetime, datetime | None]:
    end = entry["end_time"]
    return datetime.fromisoformat(entry["start_time"]), datetime.fromisoformat(end) if end else None


def local_day(entry: dict[str, Any]) -> date:
    return bounds_of(entry)[0].astimezone(ZoneInfo(entry["time_zone"])).date()


def assert_nothing_overlaps(listed: list[dict[str, Any]]) -> None:
    """Assert that no two entries of a user overlap and that at most one is open."""
    bounds = sorted(((start, end or FOREVER) for start, end in map(bounds_of, listed)), key=lambda pair: pair)
    filled = [(start, end) for start, end in bounds if start < end]
    assert all(first[1] <= second[0] for first, second in pairwise(filled))
    assert sum(entry["end_time"] is None for entry in listed) <= 1
