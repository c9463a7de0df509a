"""A failover loses no acknowledged punch, and without a standby nothing is acknowledged (threats F8)."""

import time
import uuid
from contextlib import closing

import pytest

from app.core.database.migrations import migrate
from app.core.database.session import Database
from tests.faults.cluster import running_cluster
from tests.faults.failover_scenarios import kill_machine, measure_write_gap, switch_over
from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.punch_load import DurabilityResult, Writers, compare_with_database
from tests.support.server_process import Backend

pytestmark = pytest.mark.system

WRITERS = 5  # one per connection
MAX_WRITE_GAP_SECONDS = 30
MAX_REQUEST_SECONDS = 10


@pytest.fixture
def cluster():
    with running_cluster() as running_backend:
        yield running_backend


@pytest.fixture
def db_url(cluster):
    with closing(Database(settings_for(cluster.db_url))) as database:
        migrate(database)
    return cluster.db_url


@pytest.fixture
def backend(db_url, tmp_path):
    running_backend = Backend(db_url, tmp_path, DB_STATEMENT_TIMEOUT_SECONDS="3")
    yield running_backend
    running_backend.stop()


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_failover_loses_nothing_and_without_a_standby_nothing_is_acknowledged(
    cluster, database, backend, people, bearer, engine
):
    """Stop both standbys, switch over, and kill the leader's machine. One cluster serves all steps (15 s to start)."""
    website = people.project("Website")
    ana, bob = (PunchClient(backend.base_url, bearer(people.employee(name)), website.id) for name in ("Ana", "Bob"))
    headers = [bearer(people.employee(f"Person {number}")) for number in range(WRITERS)]
    writers = Writers(backend.base_url, headers, website.id, pause_seconds=0.1)

    leader = cluster.wait_until_healthy()
    standbys = [node for node in cluster.nodes if node is not leader]
    standbys[0].stop_patroni()
    with_one_standby, _seconds = bob.clock_in()
    standbys[1].stop_patroni()
    unknown = [ana.clock_in() for _twice in range(2)]
    with writers.run_in_background() as log:
        reads = []
        while not (log.statuses or log.acknowledged):
            reads.append(ana.read())
        for node in standbys:
            node.start_patroni()
        gaps = [measure_write_gap(cluster, writers, fault) for fault in (switch_over, kill_machine)]
    repeated = writers.resend_failed()

    assert with_one_standby == 200, "one standby is enough"
    assert [status for status, _seconds in unknown] == [503, 503], "not acknowledged, and not replayed either"
    assert set(reads) == {200}, "hanging commits do not block reads"
    assert max(gaps) < MAX_WRITE_GAP_SECONDS
    assert max(log.longest_request_seconds, *(seconds for _status, seconds in unknown)) < MAX_REQUEST_SECONDS
    assert set(log.statuses) == {503}
    assert {answer.status_code for answer in repeated} == {200}
    assert ana.clock_in()[0] == 200
    log.sent += [ana.key, bob.key]
    assert compare_with_database(database, log) == DurabilityResult()


class PunchClient:
    def __init__(self, base_url, header, project_id):
        self.key = uuid.uuid4().hex
        body = {"project_id": project_id, "description": self.key}
        url = f"{base_url}/api/v1"
        self._punch = Call("POST", f"{url}/time-entries/clock-in", header | {"Idempotency-Key": self.key}, body)
        self._read = Call("GET", f"{url}/auth/me", header)

    def clock_in(self):
        """Send the same clock-in each time. Returns its status and its duration."""
        started_at = time.monotonic()
        return send_simultaneously([self._punch])[0].status_code, time.monotonic() - started_at

    def read(self):
        return send_simultaneously([self._read])[0].status_code
