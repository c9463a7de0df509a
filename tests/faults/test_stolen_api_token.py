"""A thief with Ana's API token sends many changes at once, which all wait for her row (threats 5)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.access import locks
from tests.support.concurrency import Call, send_simultaneously
from tests.support.credentials import create_api_token
from tests.support.databases import POSTGRESQL
from tests.support.lock_waits import build_call, count_waiting, wait_until
from tests.support.times import hour_entry


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_ana_revokes_the_token_behind_one_of_its_changes(people, server, engine):
    ana, website = people.employee("Ana"), people.project("Website")
    stolen = create_api_token(server.database, ana, "entries:write")
    url, header = f"{server.base_url}/api/v1/time-entries", {"Authorization": f"Bearer {stolen.token}"}
    changes = [Call("POST", url, header, hour_entry(website, number)) for number in range(6)]
    revocation = build_call(server, ana, "DELETE", f"/auth/api-tokens/{stolen.id}")

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            first = elsewhere.submit(send_simultaneously, changes)
            wait_until(lambda: requests_with_permit(server) > 0)
            wait_until(lambda: count_waiting(server, engine) == requests_with_permit(server))
            second = elsewhere.submit(send_simultaneously, [revocation])
            wait_until(lambda: count_waiting(server, engine) == 2)
        thiefs, (revoked,) = first.result(), second.result()

    assert revoked.status_code == 204
    assert Counter(answer.status_code for answer in thiefs) == {201: 1, 401: 5}


def requests_with_permit(server):
    limiter = server.app.state.runtime.request_limiter
    return server.settings.request_permits - limiter._permits._value
