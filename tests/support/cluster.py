"""Three PostgreSQL nodes under Patroni, on loopback, from the files of deploy/ha: what is tested is what is shipped.

`python -m tests.support.cluster` starts one to try out, and ends it on Ctrl-C.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
from sqlalchemy.engine import URL

from tests.support.backend import TLS
from tests.support.node import PASSWORD, SIZE, Node, nodes_in
from tests.support.postgresql import execute

DATABASE = "ett"
READY_SECONDS = 90


class Cluster:
    """The nodes, and what can be done to them together."""

    def __init__(self, folder: Path) -> None:
        self.nodes = nodes_in(folder)

    @property
    def db_url(self) -> str:
        """Every node's address: libpq takes the one that lets it write."""
        hosts = "&".join(f"host={node.address}" for node in self.nodes)
        return f"postgresql://{DATABASE}:{PASSWORD}@/{DATABASE}?{hosts}&target_session_attrs=read-write"

    def leader(self) -> Node | None:
        """The node that holds the leader's lock and runs as primary, if there is exactly one."""
        leaders = [node for node in self.nodes if node.status().get("role") == "primary"]
        return leaders[0] if len(leaders) == 1 else None

    def standbys(self) -> list[Node]:
        return [node for node in self.nodes if node.status().get("role") == "replica"]

    def wait_until_whole(self) -> Node:
        """Wait for a leader with two standbys, either of which may take over; the leader."""
        return self._wait_for(self._whole, "a leader with two synchronous standbys")

    def wait_for_leader(self, other_than: Node) -> Node:
        """Wait until another node leads."""

        def another() -> Node | None:
            found = self.leader()
            return found if found is not other_than else None

        return self._wait_for(another, f"a leader other than {other_than.name}")

    def switch_over(self) -> None:
        """Hand the lead to a standby, as for maintenance; returns when it is done."""
        leader = self.wait_until_whole()
        answer = httpx.post(
            f"{leader.rest}/switchover",
            json={"leader": leader.name},
            auth=("patroni", PASSWORD),
            timeout=READY_SECONDS,
            verify=TLS,
        )
        assert answer.status_code == 200, answer.text

    def make_database(self) -> None:
        """The service's role and its empty database, as the page tells operators to make them."""
        host, port = self.wait_until_whole().address.split(":")
        server = URL.create("postgresql", "postgres", PASSWORD, host, int(port), "postgres")
        execute(server, f"CREATE ROLE {DATABASE} LOGIN PASSWORD '{PASSWORD}'")
        execute(server, f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")

    def _whole(self) -> Node | None:
        leader = self.leader()
        followers = [node.status() for node in self.nodes if node is not leader]
        may_take_over = [one for one in followers if one.get("quorum_standby") and one.get("replication_state")]
        return leader if len(may_take_over) == SIZE - 1 else None

    def _wait_for(self, condition: Callable[[], Node | None], what: str) -> Node:
        deadline = time.monotonic() + READY_SECONDS
        while (found := condition()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"There is no {what}: {[(node.name, node.status()) for node in self.nodes]}")
            time.sleep(0.1)
        return found


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster with the service's database, in a temporary folder; nothing of it is left behind."""
    with ExitStack() as ending:
        folder = Path(tempfile.mkdtemp(prefix="ett-ha-"))
        folder.chmod(0o755)
        ending.callback(shutil.rmtree, folder)
        cluster = Cluster(folder)
        for node in cluster.nodes:
            ending.callback(node.kill)
            node.start()
        cluster.make_database()
        yield cluster


def main() -> None:
    """Start a cluster and keep it until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running_cluster() as cluster:
        print(f"DB_URL={cluster.db_url}", flush=True)
        for node in cluster.nodes:
            print(f"{node.name}: PostgreSQL {node.address}, Patroni {node.rest}/cluster", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
