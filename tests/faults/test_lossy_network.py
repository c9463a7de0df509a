"""A network that drops every third response: a retry with the same Idempotency-Key changes nothing (threats 31)."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import select

from app.models.tables import ENTRY
from app.services.audit.verification import verify
from tests.faults.lossy_proxy import run_lossy_proxy
from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import TIMEOUT_SECONDS, Call, exchange, open_connection
from tests.support.times import hour_entry

pytestmark = [pytest.mark.slow, pytest.mark.high_volume]
WRITES_EACH = 125
LOST = (asyncio.IncompleteReadError, ConnectionError)


def test_a_thousand_writes_over_a_network_that_loses_every_third_answer_are_done_once_each(
    people, database, two_workers, bearer
):
    mia, website = people.manager("Mia"), people.project("Website")
    team = [people.employee(f"Person {number}", manager=mia) for number in range(4)]
    audit_log = AuditLog(database)
    own, mias = [(user, bearer(user)) for user in team], bearer(mia)
    clients = [
        *([_own_call(header, website, f"own-{user.id}-{n}", n) for n in range(WRITES_EACH)] for user, header in own),
        *([_call_for(user, mias, website, f"for-{user.id}-{n}", n) for n in range(WRITES_EACH)] for user in team),
    ]

    proxy, answers = asyncio.run(_send_until_answered(two_workers.base_url, clients))

    assert len(answers) == 1000
    assert proxy.answer_count >= 1499, "every third response was dropped"
    assert sum(map(len, proxy.lost.values())) == proxy.answer_count // 3
    assert all(set(lost) == {answers[key]} for key, lost in proxy.lost.items())
    expected = Counter(name for calls in clients for call in calls for name in _names(call))
    with database.read_transaction() as session:
        present = Counter(session.execute(select(ENTRY.c.description)).scalars())
        verify(session, [], on_progress=lambda done, total: None)
    assert present == expected
    events = audit_log.new_events()
    switches = sum(event.action == "time_entry:switch" for event in events)
    written = Counter(event.object_id for event in events if event.action != "time_entry:switch")
    assert set(written.values()) == {1}
    assert len(written) == len(present)
    assert switches == sum("clock-in" in call.url for calls in clients for call in calls) - len(team)


def _own_call(header, website, key, number):
    """Return a user's own request. Of five requests, two are punches, two create entries, and one is a bulk of two."""
    if number % 5 < 2:
        return _call("/clock-in", header, key, {"project_id": website.id, "description": key}, switch="true")
    return _manual_call(header, website, key, number, {})


def _call_for(user, header, website, key, number):
    """Return the manager's request for the user, for other hours."""
    return _manual_call(header, website, key, number + WRITES_EACH, {"user_id": user.id, "reason": "On paper"})


def _manual_call(header, website, key, number, fields):
    if number % 5 < 4:
        return _call("", header, key, hour_entry(website, 2 * number, description=key, **fields))
    halves = [hour_entry(website, 2 * number + n, description=f"{key}-{n}", **fields) for n in range(2)]
    return _call("/bulk", header, key, {"operations": [{"action": "create"} | each for each in halves]})


def _call(path, header, key, body, **params):
    return Call("POST", f"/api/v1/time-entries{path}", header | {"Idempotency-Key": key}, body, params)


def _names(call):
    """Return the descriptions of the entries that the call creates."""
    return [each["description"] for each in call.body.get("operations", [call.body])]


async def _send_until_answered(base_url, clients):
    """Send all calls until each has a response. Returns the proxy, and the responses by Idempotency-Key."""
    async with run_lossy_proxy(base_url) as proxy, asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
        tasks = [group.create_task(_client(proxy.url, calls)) for calls in clients]
    return proxy, {key: content for answers in tasks for key, content in answers.result()}


async def _client(base_url, calls):
    pending, answers = list(reversed(calls)), []
    while pending:
        try:
            async with open_connection(base_url) as connection:
                while pending:
                    answer = await exchange(pending[-1], *connection)
                    assert answer.status_code in {200, 201}, answer
                    answers.append((pending.pop().headers["Idempotency-Key"], answer.content))
        except LOST:
            continue
    return answers
