"""Hours before the run, as requests and factories take them, and how a refusal reads."""

from datetime import timedelta
from typing import Any

import httpx

from app.core.time.clock import utc_now
from app.models.projects import Project

NOW = utc_now()


def hours_ago(hours: float, **fields: float) -> str:
    """So long ago, as a request says it."""
    return (NOW - timedelta(hours=hours, **fields)).strftime("%Y-%m-%dT%H:%M:%SZ")


def hours_ago_utc(hours: float) -> str:
    """So many hours ago, as factories of people take it."""
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")


def two_hour_entry(project: Project, days: int = 1, **fields: Any) -> dict[str, Any]:
    """Two hours, so many days ago."""
    times = {"start_time": hours_ago(24 * days), "end_time": hours_ago(24 * days - 2)}
    return {"project_id": project.id, **times, **fields}


def hour_entry(project: Project, number: int, **fields: Any) -> dict[str, Any]:
    """The hour of this number, counted back from yesterday: no two of them overlap, and 600 lie in the window."""
    times = {"start_time": hours_ago(number + 25), "end_time": hours_ago(number + 24)}
    return {"project_id": project.id, **times, **fields}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
