"""etcd as deploy/ha ships it: members and clients need a certificate of the cluster's own authority."""

import shutil
import ssl
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.faults.patroni_node import create_nodes
from tests.support.postgresql import fast_temp_folder

pytestmark = pytest.mark.system
READY_SECONDS = 60


@pytest.fixture
def nodes():
    """Three machines that run etcd only."""
    folder = Path(tempfile.mkdtemp(prefix="ett-etcd-", dir=fast_temp_folder()))
    folder.chmod(0o755)
    started = create_nodes(folder)
    for node in started:
        node.start_etcd()
    yield started
    for node in started:
        node.end()
    shutil.rmtree(folder)


def wait_for_leader(node):
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if leader := node.etcd_status().get("leader"):
                return leader
        time.sleep(0.1)
    raise TimeoutError


def is_served(url, tls):
    try:
        return httpx.get(url, verify=tls).is_success
    except httpx.TransportError:
        return False


def test_etcd_answers_members_and_patroni_and_nobody_without_a_certificate(nodes):
    assert len({wait_for_leader(node) for node in nodes}) == 1

    without_certificate = ssl.create_default_context(cafile=nodes[0].settings["PATRONI_ETCD3_CACERT"])
    for node in nodes:
        for url in (node.etcd_url, node.settings["ETCD_INITIAL_ADVERTISE_PEER_URLS"]):
            assert not is_served(f"{url}/health", without_certificate)
            assert not is_served(f"{url.replace('https', 'http')}/health", without_certificate)
        assert is_served(f"{node.etcd_url}/health", node.tls)
