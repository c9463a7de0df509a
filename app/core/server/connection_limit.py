"""A limit on the connections of a worker process, and of each network to it."""

from collections import Counter
from functools import lru_cache
from ipaddress import ip_address, ip_network

from app.core.config.settings import Settings
from app.core.server.ip_addresses import normalize_address, rate_limit_key


class ConnectionLimiter:
    """Counts connections: MAX_CONNECTIONS in all, and half of them for one network.

    Otherwise one client without a credential could keep all others out. A proxy of TRUSTED_PROXIES may have all of
    them, because its connections are those of all its clients. So may clients on a UNIX socket, who have no address.
    """

    def __init__(self, settings: Settings) -> None:
        self._max = settings.MAX_CONNECTIONS
        self._proxies = [ip_network(network) for network in settings.trusted_proxies]
        self._by_network: Counter[str] = Counter()
        self._is_proxy = lru_cache(maxsize=1024)(self._is_in_proxies)

    def open(self, address: str | None) -> bool:
        """Count a connection and return True, or return False if it is beyond a limit. Then do not call `close`."""
        network = self._network_of(address)
        is_beyond_share = network != "" and self._by_network[network] >= max(1, self._max // 2)
        if is_beyond_share or self._by_network.total() >= self._max:
            return False
        self._by_network[network] += 1
        return True

    def close(self, address: str | None) -> None:
        """Count the end of a connection."""
        network = self._network_of(address)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    def _network_of(self, address: str | None) -> str:
        return "" if address is None or self._is_proxy(address) else rate_limit_key(address)

    def _is_in_proxies(self, address: str) -> bool:
        return any(ip_address(normalize_address(address)) in network for network in self._proxies)
