"""Host names and addresses that only this machine can reach."""

import re
from ipaddress import IPv6Address, ip_address

TEST_CLIENT_HOST = "testserver"
"""The host of Starlette's TestClient, which sends no request over a network."""


def is_loopback_host(host: str) -> bool:
    """Return True for `localhost` and for a loopback address, which may be in brackets as in a URL."""
    name = host.lower()
    if name == "localhost":
        return True
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def is_local_host_header(host: str) -> bool:
    """Return True for the host, without port, of a request that a client on this machine sends."""
    return host == TEST_CLIENT_HOST or is_loopback_host(host)


def url_host(url: str) -> str:
    """Return the host of a URL without user and port, or an empty string if it has none."""
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    return re.sub(r":\d*$", "", authority.rpartition("@")[2])
