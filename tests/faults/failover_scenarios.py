"""Failover scenarios, each run under the writers of tests.support.punch_load."""

import time
from collections.abc import Callable

from tests.faults.cluster import Cluster
from tests.faults.patroni_node import Node
from tests.support.punch_load import Writers

RECOVERY_TIMEOUT_SECONDS = 60
ETCD_OUTAGE_SECONDS = 30  # longer than the lease of the leader
WATCHDOG_SECONDS = 15  # Patroni's ttl minus its safety margin
IN_FLIGHT_SECONDS = 1
"""Seconds after which every response in flight at the fault has reached its writer."""


def switch_over(cluster: Cluster, _leader: Node) -> None:
    cluster.switch_over()


def kill_postgresql(_cluster: Cluster, leader: Node) -> None:
    leader.kill_postgresql()


def kill_machine(_cluster: Cluster, leader: Node) -> None:
    leader.kill()


def freeze_primary(_cluster: Cluster, leader: Node) -> None:
    leader.freeze()


def reset_machine(_cluster: Cluster, leader: Node) -> None:
    """Suspend the whole machine until its watchdog resets it, which happens before another node takes over."""
    leader.freeze()
    leader.freeze_etcd()
    time.sleep(WATCHDOG_SECONDS)
    leader.kill()


def freeze_etcd_leader(cluster: Cluster, _leader: Node) -> None:
    """Suspend only the etcd leader. When it resumes, it revokes the leases of all nodes."""
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
"""A whole machine that hangs and resumes is not included: see docs/high-availability.md."""
ETCD_FAULTS = {"etcd frozen for 30 s": freeze_etcd}
RECOVERIES = {kill_machine: Node.start, reset_machine: Node.start, freeze_primary: Node.thaw}


def measure_write_gap(cluster: Cluster, writers: Writers, fault: Fault) -> float:
    """Run a fault on a healthy cluster and return the longest time without an acknowledged punch.

    Then restart the machine if it was killed. Raises TimeoutError if no write succeeds again.
    """
    leader = cluster.wait_until_healthy()
    started_at = time.monotonic()
    fault(cluster, leader)
    resumed_at = writers.wait_for_acknowledged(time.monotonic() + IN_FLIGHT_SECONDS, RECOVERY_TIMEOUT_SECONDS)
    gap_seconds = writers.log.longest_gap_seconds(started_at, resumed_at)
    if fault in RECOVERIES:
        RECOVERIES[fault](leader)
    return gap_seconds
