"""The ways in which the lead passes from one machine to another, each under the writers of tests.support.punch_load."""

import time
from collections.abc import Callable

from tests.faults.cluster import Cluster
from tests.faults.patroni_node import Node
from tests.support.punch_load import Writers

RECOVERY_TIMEOUT_SECONDS = 60
ETCD_OUTAGE_SECONDS = 30  # longer than the leader's lease
WATCHDOG_SECONDS = 15  # Patroni's ttl less its safety margin
IN_FLIGHT_SECONDS = 1
"""Whatever was acknowledged when the fault came has reached its writer after so long."""


def switch_over(cluster: Cluster, _leader: Node) -> None:
    cluster.switch_over()


def kill_postgresql(_cluster: Cluster, leader: Node) -> None:
    leader.kill_postgresql()


def kill_machine(_cluster: Cluster, leader: Node) -> None:
    leader.kill()


def freeze_primary(_cluster: Cluster, leader: Node) -> None:
    leader.freeze()


def reset_machine(_cluster: Cluster, leader: Node) -> None:
    """The whole machine hangs until its watchdog resets it, which is before another takes over."""
    leader.freeze()
    leader.freeze_etcd()
    time.sleep(WATCHDOG_SECONDS)
    leader.kill()


def freeze_etcd_leader(cluster: Cluster, _leader: Node) -> None:
    """The etcd that leads hangs, with nothing else; when it wakes it takes everybody's leases away."""
    etcd_leader = cluster.etcd_leader()
    etcd_leader.freeze_etcd()
    time.sleep(ETCD_OUTAGE_SECONDS)
    etcd_leader.thaw()


def freeze_etcd(cluster: Cluster, _leader: Node) -> None:
    for node in cluster.nodes:
        node.freeze_etcd()
    time.sleep(ETCD_OUTAGE_SECONDS)
    for node in cluster.nodes:
        node.thaw()


Fault = Callable[[Cluster, Node], None]
FAULTS: dict[str, Fault] = {
    "switchover": switch_over,
    "machine killed": kill_machine,
    "machine hung, then reset": reset_machine,
    "primary frozen": freeze_primary,
    "PostgreSQL killed": kill_postgresql,
    "etcd's leader frozen for 30 s": freeze_etcd_leader,
}
"""Not among them: a whole machine that hangs and goes on. No etcd survives that: see docs/high-availability.md."""
ETCD_FAULTS = {"etcd frozen for 30 s": freeze_etcd}
RECOVERIES = {kill_machine: Node.start, reset_machine: Node.start, freeze_primary: Node.thaw}


def measure_write_gap(cluster: Cluster, writers: Writers, fault: Fault) -> float:
    """Let the fault happen to a whole cluster: the longest time in which nothing was acknowledged. Then the machine
    comes back, if it went. Raises TimeoutError if nobody writes again."""
    leader = cluster.wait_until_healthy()
    started_at = time.monotonic()
    fault(cluster, leader)
    resumed_at = writers.wait_for_acknowledged(time.monotonic() + IN_FLIGHT_SECONDS, RECOVERY_TIMEOUT_SECONDS)
    gap_seconds = writers.log.longest_gap_seconds(started_at, resumed_at)
    if fault in RECOVERIES:
        RECOVERIES[fault](leader)
    return gap_seconds
