"""The ways in which the lead passes from one machine to another, each under the writers of tests.support.punch_load."""

import time
from collections.abc import Callable

from tests.faults.cluster import Cluster
from tests.faults.patroni_node import Node
from tests.support.punch_load import Writers

PATIENCE_SECONDS = 60
WITHOUT_ETCD_SECONDS = 30  # longer than the leader's lease
WATCHDOG_SECONDS = 15  # Patroni's ttl less its safety margin
IN_FLIGHT_SECONDS = 1
"""Whatever was acknowledged when the fault came has reached its writer after so long."""


def switchover(cluster: Cluster, _leader: Node) -> None:
    cluster.switch_over()


def postgresql_killed(_cluster: Cluster, leader: Node) -> None:
    leader.kill_postgresql()


def machine_killed(_cluster: Cluster, leader: Node) -> None:
    leader.kill()


def primary_frozen(_cluster: Cluster, leader: Node) -> None:
    leader.freeze()


def machine_reset(_cluster: Cluster, leader: Node) -> None:
    """The whole machine hangs until its watchdog resets it, which is before another takes over."""
    leader.freeze()
    leader.freeze_etcd()
    time.sleep(WATCHDOG_SECONDS)
    leader.kill()


def etcd_leader_frozen(cluster: Cluster, _leader: Node) -> None:
    """The etcd that leads hangs, with nothing else; when it wakes it takes everybody's leases away."""
    leading = cluster.etcd_leader()
    leading.freeze_etcd()
    time.sleep(WITHOUT_ETCD_SECONDS)
    leading.thaw()


def etcd_frozen(cluster: Cluster, _leader: Node) -> None:
    for node in cluster.nodes:
        node.freeze_etcd()
    time.sleep(WITHOUT_ETCD_SECONDS)
    for node in cluster.nodes:
        node.thaw()


Fault = Callable[[Cluster, Node], None]
KINDS: dict[str, Fault] = {
    "switchover": switchover,
    "machine killed": machine_killed,
    "machine hung, then reset": machine_reset,
    "primary frozen": primary_frozen,
    "PostgreSQL killed": postgresql_killed,
    "etcd's leader frozen for 30 s": etcd_leader_frozen,
}
"""Not among them: a whole machine that hangs and goes on. No etcd survives that: see docs/high-availability.md."""
WITHOUT_ETCD = {"etcd frozen for 30 s": etcd_frozen}
COMES_BACK = {machine_killed: Node.start, machine_reset: Node.start, primary_frozen: Node.thaw}


def seconds_without_writing(cluster: Cluster, writers: Writers, fault: Fault) -> float:
    """Let the fault happen to a whole cluster: the longest time in which nothing was acknowledged. Then the machine
    comes back, if it went. Raises TimeoutError if nobody writes again."""
    leader = cluster.wait_until_whole()
    begun_at = time.monotonic()
    fault(cluster, leader)
    again_at = writers.wait_for_acknowledged(time.monotonic() + IN_FLIGHT_SECONDS, PATIENCE_SECONDS)
    gap_seconds = writers.log.longest_gap_seconds(begun_at, again_at)
    if fault in COMES_BACK:
        COMES_BACK[fault](leader)
    return gap_seconds
