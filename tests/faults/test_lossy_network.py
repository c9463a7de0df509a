"""A network that loses every third answer: who sends again under the same key does nothing twice (threats 31)."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import select

from app.models.tables import ENTRY
from app.services.audit.verification import verify
from tests.faults.lossy_proxy import lossy
from tests.support.audit_asserts import Record
from tests.support.concurrency import TIMEOUT_SECONDS, Call, exchange, opened
from tests.support.times import hour

pytestmark = pytest.mark.high_volume
WRITES_EACH = 125
LOST = (asyncio.IncompleteReadError, ConnectionError)


def test_a_thousand_writes_over_a_network_that_loses_every_third_answer_are_done_once_each(
    people, database, two_workers, bearer
):
    mia, website = people.manager("Mia"), people.project("Website")
    team = [people.employee(f"Person {number}", manager=mia) for number in range(4)]
    record = Record(database)
    own, mias = [(person, bearer(person)) for person in team], bearer(mia)
    clients = [
        *([_own(header, website, f"own-{person.id}-{n}", n) for n in range(WRITES_EACH)] for person, header in own),
        *([_for(person, mias, website, f"for-{person.id}-{n}", n) for n in range(WRITES_EACH)] for person in team),
    ]

    proxy, answers = asyncio.run(_send_until_answered(two_workers.base_url, clients))

    assert len(answers) == 1000
    assert proxy.answers >= 1499, "each third answer was lost"
    assert sum(map(len, proxy.lost.values())) == proxy.answers // 3
    assert all(set(lost) == {answers[key]} for key, lost in proxy.lost.items())
    wanted = Counter(name for calls in clients for call in calls for name in _names(call))
    with database.reading() as session:
        present = Counter(session.execute(select(ENTRY.c.description)).scalars())
        verify(session, [], on_progress=lambda done, total: None)
    assert present == wanted
    events = record.new()
    switches = sum(event.action == "time_entry:switch" for event in events)
    written = Counter(event.object_id for event in events if event.action != "time_entry:switch")
    assert set(written.values()) == {1}
    assert len(written) == len(present)
    assert switches == sum("clock-in" in call.url for calls in clients for call in calls) - len(team)


def _own(header, website, key, number):
    """A person's own request: of five, two punches, two entries by hand, and a bulk of two more."""
    if number % 5 < 2:
        return _call("/clock-in", header, key, {"project_id": website.id, "description": key}, switch="true")
    return _by_hand(header, website, key, number, {})


def _for(person, header, website, key, number):
    """Their manager's request for them, in hours of its own."""
    return _by_hand(header, website, key, number + WRITES_EACH, {"user_id": person.id, "reason": "On paper"})


def _by_hand(header, website, key, number, more):
    if number % 5 < 4:
        return _call("", header, key, hour(website, 2 * number, description=key, **more))
    halves = [hour(website, 2 * number + n, description=f"{key}-{n}", **more) for n in range(2)]
    return _call("/bulk", header, key, {"operations": [{"action": "create"} | each for each in halves]})


def _call(path, header, key, body, **params):
    return Call("POST", f"/api/v1/time-entries{path}", header | {"Idempotency-Key": key}, body, params)


def _names(call):
    """The descriptions of the entries that the call makes."""
    return [each["description"] for each in call.body.get("operations", [call.body])]


async def _send_until_answered(base_url, clients):
    """The proxy, and each call's answer by its key."""
    async with lossy(base_url) as proxy, asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
        told = [group.create_task(_client(proxy.url, calls)) for calls in clients]
    return proxy, {key: content for answers in told for key, content in answers.result()}


async def _client(base_url, calls):
    waiting, answers = list(reversed(calls)), []
    while waiting:
        try:
            async with opened(base_url) as connection:
                while waiting:
                    answer = await exchange(waiting[-1], *connection)
                    assert answer.status_code in {200, 201}, answer
                    answers.append((waiting.pop().headers["Idempotency-Key"], answer.content))
        except LOST:
            continue
    return answers
