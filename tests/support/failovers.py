"""The ways in which the lead passes from one machine to another, each under the writers of tests.support.punching."""

import re
import subprocess
import time
from collections.abc import Callable

from tests.support.cluster import Cluster
from tests.support.node import Node
from tests.support.programs import program
from tests.support.punching import Writers

PATIENCE_SECONDS = 60
WITHOUT_ETCD_SECONDS = 30  # longer than the leader's lease
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


def machine_frozen(_cluster: Cluster, leader: Node) -> None:
    leader.freeze()
    leader.freeze_etcd()


def etcd_frozen(cluster: Cluster, _leader: Node) -> None:
    for node in cluster.nodes:
        node.freeze_etcd()
    time.sleep(WITHOUT_ETCD_SECONDS)
    for node in cluster.nodes:
        node.thaw()


Fault = Callable[[Cluster, Node], None]
WITH_ANY_ETCD: dict[str, Fault] = {
    "switchover": switchover,
    "machine killed": machine_killed,
    "primary frozen": primary_frozen,
    "PostgreSQL killed": postgresql_killed,
}
WITHOUT_ETCD = {"etcd frozen for 30 s": etcd_frozen}
COMES_BACK = {machine_killed: Node.start, primary_frozen: Node.thaw, machine_frozen: Node.thaw}


def kinds() -> dict[str, Fault]:
    """The ways, by name. A machine hangs as a whole only where the etcd of this machine wakes without harm: see
    docs/high-availability.md."""
    said = subprocess.run([program("etcd"), "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", said)[:3]))
    is_harmless = version >= (3, 5, 13) or (3, 4, 31) <= version < (3, 5)
    return WITH_ANY_ETCD | ({"machine frozen": machine_frozen} if is_harmless else {})


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
