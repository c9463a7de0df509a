"""One node of the cluster in tests.faults.cluster, configured from the files of deploy/ha."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import psutil

from tests.support.postgresql import binaries
from tests.support.processes import unprivileged_user
from tests.support.server_process import ROOT, TLS
from tests.support.system_packages import find_program

SHIPPED_FILES = ROOT / "deploy" / "ha"
SIZE = 3
PASSWORD = "loopback-only"
REQUEST_TIMEOUT_SECONDS = 2
STOP_TIMEOUT_SECONDS = 10


class Node:
    """One machine: etcd, Patroni, and the PostgreSQL server that Patroni starts."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.name = settings["PATRONI_NAME"]
        self.address = settings["PATRONI_POSTGRESQL_CONNECT_ADDRESS"]
        self.rest_url = f"http://{settings['PATRONI_RESTAPI_CONNECT_ADDRESS']}"
        self.etcd_url = settings["ETCD_ADVERTISE_CLIENT_URLS"]
        self.tls = ssl.create_default_context(cafile=settings["PATRONI_ETCD3_CACERT"])
        """The TLS context of a client of etcd, with Patroni's certificate."""
        self.tls.load_cert_chain(settings["PATRONI_ETCD3_CERT"], settings["PATRONI_ETCD3_KEY"])
        self._folder, self.settings = folder, settings
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the services that start at boot."""
        self.start_etcd()
        self.start_patroni()

    def start_etcd(self) -> None:
        self._start("etcd", find_program("etcd"))

    def start_patroni(self) -> None:
        self._start("patroni", sys.executable, "-m", "patroni", self._folder / "config")

    def stop_patroni(self) -> None:
        """Stop Patroni as systemd does, and wait. Patroni stops PostgreSQL first; etcd keeps running."""
        self._processes["patroni"].terminate()
        self._processes["patroni"].wait()

    def kill(self) -> None:
        """Kill all processes with SIGKILL, as in a power failure."""
        for _restart in range(2):  # Patroni may have started PostgreSQL in the meantime
            self._signal(signal.SIGKILL)
            for process in self._processes.values():
                process.wait()
        self._processes.clear()

    def end(self) -> None:
        """Stop all processes.

        PostgreSQL is stopped with a signal, because SIGKILL would leave its shared memory behind.
        """
        if "patroni" in self._processes:
            self._processes["patroni"].kill()
        self.thaw()
        servers = self._postgresql()
        _send(signal.SIGQUIT, servers)
        psutil.wait_procs(servers, STOP_TIMEOUT_SECONDS)
        self.kill()

    def kill_postgresql(self) -> None:
        """Kill all processes of PostgreSQL with SIGKILL. Patroni restarts it or fails over."""
        _send(signal.SIGKILL, self._postgresql())

    def freeze(self) -> None:
        """Suspend Patroni and PostgreSQL with their sockets open. etcd keeps running."""
        self._processes["patroni"].send_signal(signal.SIGSTOP)
        _send(signal.SIGSTOP, self._postgresql())

    def freeze_etcd(self) -> None:
        """Suspend etcd with its sockets open."""
        self._processes["etcd"].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume all suspended processes."""
        self._signal(signal.SIGCONT)

    def status(self) -> dict[str, Any]:
        """Return Patroni's status: role, state, timeline and replication. Empty if Patroni does not respond."""
        return self.get("patroni")

    def get(self, path: str) -> dict[str, Any]:
        """Return the response of Patroni's REST API, empty if it does not respond."""
        with suppress(httpx.TransportError):
            answer: dict[str, Any] = httpx.get(
                f"{self.rest_url}/{path}", timeout=REQUEST_TIMEOUT_SECONDS, verify=TLS
            ).json()
            return answer
        return {}

    def etcd_status(self) -> dict[str, Any]:
        """Return the status of etcd."""
        address = f"{self.etcd_url}/v3/maintenance/status"
        answer = httpx.post(address, json={}, timeout=REQUEST_TIMEOUT_SECONDS, verify=self.tls)
        status: dict[str, Any] = answer.raise_for_status().json()
        return status

    def _start(self, name: str, *command: Any) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*_setpriv_command(), *command],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"]} | self.settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _signal(self, number: int) -> None:
        """Send a signal to Patroni first, so that it does not restart the others."""
        own = [psutil.Process(process.pid) for process in reversed(self._processes.values()) if process.poll() is None]
        _send(number, [*_process_trees(own), *self._postgresql()])

    def _postgresql(self) -> list[psutil.Process]:
        """Return the processes of PostgreSQL.

        They are not children of Patroni, so that Patroni can restart without them.
        """
        data = self.settings["PATRONI_POSTGRESQL_DATA_DIR"]
        return _process_trees(
            process
            for process in psutil.process_iter(["cmdline"])
            if any(data in argument for argument in process.info["cmdline"] or ())
        )


def create_nodes(folder: Path) -> list[Node]:
    """Create three nodes from the shipped files, with addresses on loopback."""
    names = [f"node{number}" for number in range(1, SIZE + 1)]
    ports = iter(_free_ports(4 * SIZE))
    addresses = {name: [f"127.0.0.1:{next(ports)}" for _of_four in range(4)] for name in names}
    members = ",".join(f"{name}=https://{peer}" for name, (peer, *_others) in addresses.items())
    clients = ",".join(client for _peer, client, *_others in addresses.values())
    programs = str(binaries(folder))
    certificates = folder / "tls"
    machines = [f"{name}=127.0.0.1" for name in names]
    subprocess.run([SHIPPED_FILES / "make_certificates", certificates, *machines], check=True, capture_output=True)
    nodes = []
    for name, (peer, client, database, rest_url) in addresses.items():
        home = _make_home(folder / name)
        own = certificates / name
        etcd = _fill_in("etcd.env", ETCD_INITIAL_CLUSTER=members, **_etcd(name, home, peer, client), **_etcd_tls(own))
        patroni = _fill_in(
            "patroni.env",
            PATRONI_ETCD3_HOSTS=clients,
            PATRONI_POSTGRESQL_BIN_DIR=programs,
            PATRONI_ETCD3_CACERT=str(certificates / "ca.pem"),
            PATRONI_ETCD3_CERT=str(own / "patroni.pem"),
            PATRONI_ETCD3_KEY=str(own / "patroni-key.pem"),
            **_patroni(name, home, database, rest_url),
        )
        nodes.append(Node(home, etcd | patroni))
    return nodes


def _etcd(name: str, home: Path, peer: str, client: str) -> dict[str, str]:
    return {
        "ETCD_NAME": name,
        "ETCD_DATA_DIR": str(home / "etcd"),
        "ETCD_LISTEN_CLIENT_URLS": f"https://{client}",
        "ETCD_ADVERTISE_CLIENT_URLS": f"https://{client}",
        "ETCD_LISTEN_PEER_URLS": f"https://{peer}",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": f"https://{peer}",
    }


def _etcd_tls(own: Path) -> dict[str, str]:
    files = {"TRUSTED_CA_FILE": own.parent / "ca.pem", "CERT_FILE": own / "etcd.pem", "KEY_FILE": own / "etcd-key.pem"}
    return {f"ETCD_{side}{name}": str(file) for side in ("", "PEER_") for name, file in files.items()}


def _patroni(name: str, home: Path, database: str, rest_url: str) -> dict[str, str]:
    return {
        "PATRONI_NAME": name,
        "PATRONI_POSTGRESQL_LISTEN": database,
        "PATRONI_POSTGRESQL_CONNECT_ADDRESS": database,
        "PATRONI_POSTGRESQL_DATA_DIR": str(home / "data"),
        "PATRONI_POSTGRESQL_PGPASS": str(home / "pgpass"),
        "PATRONI_RESTAPI_LISTEN": rest_url,
        "PATRONI_RESTAPI_CONNECT_ADDRESS": rest_url,
    }


def _make_home(folder: Path) -> Path:
    """Create the folder of a node with the shipped patroni.yml and settings for loopback.

    The watchdog is off, because it would reset the machine that runs the tests.
    """
    config = folder / "config"
    config.mkdir(parents=True)
    shutil.copy(SHIPPED_FILES / "patroni.yml", config)
    (config / "zz-loopback.yml").write_text(
        f"postgresql: {{parameters: {{unix_socket_directories: '{folder}'}}}}\nwatchdog: {{mode: 'off'}}\n"
    )
    if user := unprivileged_user():
        os.chown(folder, user["user"], user["group"])
    return folder


def _fill_in(file: str, **values: str) -> dict[str, str]:
    """Return the settings of a shipped file with our values in place of its example values and passwords."""
    lines = [line for line in (SHIPPED_FILES / file).read_text().splitlines() if line and not line.startswith("#")]
    shipped = dict(line.split("=", 1) for line in lines)
    filled = {name: PASSWORD if value == "change-me" else value for name, value in shipped.items()} | values
    assert filled.keys() == shipped.keys()
    assert "10.0.0." not in str(filled), "an address of the examples"
    assert "/etc/" not in str(filled), "a file of the examples"
    return filled


def _setpriv_command() -> list[str]:
    """Return a command prefix for an unprivileged user, which PostgreSQL demands, with read access to our Python."""
    user = unprivileged_user()
    if not user:
        return []
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", f"--reuid={user['user']}", f"--regid={user['group']}", "--clear-groups", *rights]


def _process_trees(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    tree = list(processes)
    for process in tuple(tree):
        with suppress(psutil.NoSuchProcess):
            tree += process.children(recursive=True)
    return tree


def _send(number: int, processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _free_ports(count: int) -> list[int]:
    """Return different free ports."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket()) for _port in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
