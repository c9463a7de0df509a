"""Workers that die or hang are noticed at once and replaced, however they end (threats F14)."""

import os
import signal
import time

import pytest

from app.cli.serve import WORKER_START_SECONDS
from app.core.server.worker_process import REPLY_SECONDS
from tests.support.databases import SQLITE, fresh_database
from tests.support.export_files import becomes_true
from tests.support.server_process import Backend, workers_of

pytestmark = pytest.mark.slow
NOTICE_SECONDS = 5


@pytest.fixture(scope="module")
def shared_backend(tmp_path_factory, postgresql_server, templates):
    """Return one service for all tests, because it replaces each worker that they kill."""
    folder = tmp_path_factory.mktemp("workers")
    with fresh_database(SQLITE, folder, postgresql_server, templates) as db_url:
        service = Backend(db_url, folder, workers=2)
        yield service
        service.kill()


@pytest.fixture
def backend(shared_backend):
    """Return the service with two workers that answered the parent process, and an empty log."""
    assert becomes_true(lambda: len(workers_of(shared_backend)) == 2)
    assert shared_backend.becomes_ready()
    shared_backend.log.write_text("")
    return shared_backend


def is_noticed(backend: Backend, worker: int) -> bool:
    return f"Child process [{worker}] died" in backend.log.read_text()


@pytest.mark.extended  # the next test, where one of them hangs too, is harder
def test_the_death_of_all_workers_is_noticed_at_once(backend):
    victims = workers_of(backend)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)

    for victim in victims:
        assert becomes_true(lambda victim=victim: is_noticed(backend, victim), seconds=NOTICE_SECONDS)
    assert backend.becomes_ready()


def test_a_worker_that_was_stopped_before_it_was_killed_is_noticed_at_once(backend):
    """The parent process once waited 30 seconds for its reply, and saw no death meanwhile."""
    stopped, other = workers_of(backend)
    os.kill(stopped, signal.SIGSTOP)
    for victim in (stopped, other):
        os.kill(victim, signal.SIGKILL)

    for victim in (stopped, other):
        assert becomes_true(lambda victim=victim: is_noticed(backend, victim), seconds=NOTICE_SECONDS)
    assert backend.becomes_ready()


def test_a_death_is_noticed_while_another_worker_hangs_and_that_one_is_replaced_too(backend):
    hung, dead = workers_of(backend)
    os.kill(hung, signal.SIGSTOP)
    os.kill(dead, signal.SIGKILL)

    assert becomes_true(lambda: is_noticed(backend, dead), seconds=NOTICE_SECONDS)
    assert not is_noticed(backend, hung)
    assert becomes_true(
        lambda: is_noticed(backend, hung), seconds=WORKER_START_SECONDS + NOTICE_SECONDS
    )  # if it was starting
    assert backend.becomes_ready()


@pytest.mark.extended
def test_a_parent_process_that_was_suspended_itself_kills_nobody(backend):
    """A ping may be without a reply for as long as the parent process didn't run."""
    workers = workers_of(backend)
    os.kill(backend.pid, signal.SIGSTOP)
    time.sleep(REPLY_SECONDS + 1)  # the suspension itself
    os.kill(backend.pid, signal.SIGCONT)

    assert not becomes_true(lambda: workers_of(backend) != workers, seconds=2)
