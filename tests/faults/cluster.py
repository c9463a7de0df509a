"""Three PostgreSQL nodes under Patroni on loopback, configured from the shipped files of deploy/ha.

`python -m tests.faults.cluster` starts a cluster to try out, and stops it on Ctrl-C.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import psycopg2
from sqlalchemy.engine import URL

from tests.faults.patroni_node import PASSWORD, SIZE, Node, create_nodes
from tests.support.postgresql import connect, execute, fast_temp_folder
from tests.support.server_process import TLS

DATABASE = "ett"
READY_SECONDS = 90


class Cluster:
    """The nodes of a cluster, and operations on all of them."""

    def __init__(self, folder: Path) -> None:
        self.nodes = create_nodes(folder)

    @property
    def db_url(self) -> str:
        """The URL with the addresses of all nodes. libpq connects to the one that accepts writes."""
        hosts = "&".join(f"host={node.address}" for node in self.nodes)
        return f"postgresql://{DATABASE}:{PASSWORD}@/{DATABASE}?{hosts}&target_session_attrs=read-write"

    def leader(self) -> Node | None:
        """The node that holds the leader lock and runs as primary, or None unless there is exactly one."""
        leaders = [node for node in self.nodes if node.status().get("role") == "primary"]
        return leaders[0] if len(leaders) == 1 else None

    def etcd_leader(self) -> Node:
        """The node whose etcd is the Raft leader."""
        statuses = [node.etcd_status() for node in self.nodes]
        (leader_id,) = {status["leader"] for status in statuses}
        return next(
            node
            for node, status in zip(self.nodes, statuses, strict=True)
            if status["header"]["member_id"] == leader_id
        )

    def wait_until_healthy(self) -> Node:
        """Wait for a leader and two synchronous standbys, and return the leader."""
        return self._wait_for(self._healthy_leader, "a leader with two synchronous standbys")

    def switch_over(self) -> None:
        """Switch over to a standby, as for maintenance. Returns when it is complete."""
        leader = self.wait_until_healthy()
        answer = httpx.post(
            f"{leader.rest_url}/switchover",
            json={"leader": leader.name},
            auth=("patroni", PASSWORD),
            timeout=READY_SECONDS,
            verify=TLS,
        )
        assert answer.status_code == 200, answer.text

    def create_database(self) -> None:
        """Create the service's role and its empty database on every node, as docs/high-availability.md says."""
        leader = self.wait_until_healthy()
        execute(_url(leader, "postgres", "postgres"), f"CREATE ROLE {DATABASE} LOGIN PASSWORD '{PASSWORD}'")
        execute(_url(leader, "postgres", "postgres"), f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
        for node in self.nodes:
            self._wait_for(partial(_with_database, node), f"database on {node.name}")

    def _healthy_leader(self) -> Node | None:
        """Return the leader if it has two standbys that etcd lists as synchronous, else None."""
        leader = self.leader()
        if leader is None:
            return None
        streaming = [member for member in leader.status().get("replication", ()) if member["state"] == "streaming"]
        quorum_standbys = [
            member for member in leader.get("cluster").get("members", ()) if member["role"] == "quorum_standby"
        ]
        return leader if len(streaming) == len(quorum_standbys) == SIZE - 1 else None

    def _wait_for(self, condition: Callable[[], Node | None], description: str) -> Node:
        deadline = time.monotonic() + READY_SECONDS
        while (result := condition()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"There is no {description}: {[(node.name, node.status()) for node in self.nodes]}")
            time.sleep(0.1)
        return result


def _with_database(node: Node) -> Node | None:
    with suppress(psycopg2.OperationalError):
        connect(_url(node, DATABASE, DATABASE)).close()
        return node
    return None


def _url(node: Node, user: str, database: str) -> URL:
    host, port = node.address.split(":")
    return URL.create("postgresql", user, PASSWORD, host, int(port), database)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a cluster with the service's database in a temporary folder. Stops and deletes everything at the end."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="ett-ha-", dir=fast_temp_folder()))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder)
        cluster = Cluster(folder)
        for node in cluster.nodes:
            stack.callback(node.end)
            node.start()
        cluster.create_database()
        yield cluster


def main() -> None:
    """Run a cluster until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running_cluster() as cluster:
        print(f"DB_URL={cluster.db_url}", flush=True)
        for node in cluster.nodes:
            print(f"{node.name}: PostgreSQL {node.address}, Patroni {node.rest_url}/cluster", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
