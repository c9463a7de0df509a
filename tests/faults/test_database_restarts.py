"""A PostgreSQL crash or restart under load loses no data, and the service needs no restart (threats F2, F5)."""

import time

import pytest

from tests.support.concurrency import Call, send_in_parallel, send_simultaneously
from tests.support.databases import POSTGRESQL
from tests.support.punch_load import DurabilityResult, Writers, compare_with_database
from tests.support.server_process import Backend

WRITERS, READERS, READS = 8, 12, 10
PUNCHES_BEFORE_KILL = 100
RECOVERY_TIMEOUT_SECONDS = 10
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("engine", [POSTGRESQL])]


@pytest.fixture
def db_url(own_db_url):
    return own_db_url


@pytest.fixture
def backend(db_url, tmp_path):
    running_backend = Backend(db_url, tmp_path, workers=2)
    yield running_backend
    running_backend.stop()


def test_a_postgresql_that_is_killed_and_then_restarted_loses_nothing_and_fails_no_read_afterwards(
    people, database, own_postgresql, backend, bearer, engine
):
    website = people.project("Website")
    headers = [bearer(people.employee(f"Person {number}")) for number in range(WRITERS)]
    writers = Writers(backend.base_url, headers, website.id, pause_seconds=0.02)
    read = Call("GET", f"{backend.base_url}/api/v1/auth/me", headers[0])

    with writers.run_in_background() as log:
        writers.wait_for(PUNCHES_BEFORE_KILL)
        own_postgresql.kill()
        meanwhile = send_simultaneously([read])[0]
        own_postgresql.start()
        writers.wait_for_acknowledged(time.monotonic(), within_seconds=RECOVERY_TIMEOUT_SECONDS)
        writers.wait_for(len(log.acknowledged) + 5 * WRITERS)
        own_postgresql.restart()
        reads = send_in_parallel([[read] * READS] * READERS)
        writers.wait_for(len(log.acknowledged) + 5 * WRITERS)
    repeated = writers.resend_failed()

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (503, "database_unavailable")
    assert {answer.status_code for answers in reads for answer in answers} == {200}, (
        "the pool held only dead connections"
    )
    assert set(log.statuses) == {503}, "every request got a response"
    assert {answer.status_code for answer in repeated} == {200}
    assert compare_with_database(database, log) == DurabilityResult()
