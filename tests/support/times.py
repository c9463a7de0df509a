"""Instants before the run, in the formats of requests and factories, and helpers for entries."""

from datetime import timedelta
from typing import Any

import httpx

from app.core.time.clock import utc_now
from app.models.projects import Project

NOW = utc_now()


def hours_ago(hours: float, **fields: float) -> str:
    """Return an instant in the past in the format of requests."""
    return (NOW - timedelta(hours=hours, **fields)).strftime("%Y-%m-%dT%H:%M:%SZ")


def hours_ago_utc(hours: float) -> str:
    """Return an instant in the past in the format of the factories."""
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")


def two_hour_entry(project: Project, days: int = 1, **fields: Any) -> dict[str, Any]:
    """Return the request for an entry of two hours, some days ago."""
    times = {"start_time": hours_ago(24 * days), "end_time": hours_ago(24 * days - 2)}
    return {"project_id": project.id, **times, **fields}


def hour_entry(project: Project, number: int, **fields: Any) -> dict[str, Any]:
    """Return the request for an entry of one hour, counted back from yesterday.

    Entries with different numbers do not overlap, and 600 of them fit into the allowed period.
    """
    times = {"start_time": hours_ago(number + 25), "end_time": hours_ago(number + 24)}
    return {"project_id": project.id, **times, **fields}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
