"""Normalized IP addresses, and their keys for rate limits."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

UNKNOWN = "unknown"
HOST_BITS = 64  # of an IPv6 address. A customer, or even a single machine, has a whole /64.

_Address = IPv4Address | IPv6Address


@lru_cache(maxsize=1024)
def normalize_address(text: str) -> str:
    """Return the address in its shortest form, an IPv4-mapped IPv6 address as IPv4. UNKNOWN if it is not an address."""
    address = _parse(text)
    return UNKNOWN if address is None else str(address)


@lru_cache(maxsize=1024)
def rate_limit_key(address: str) -> str:
    """Return the key for rate limits: the IPv4 address, the /64 network of an IPv6 address, or UNKNOWN."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> HOST_BITS << HOST_BITS, 128 - HOST_BITS)))
    return UNKNOWN if parsed is None else str(parsed)


@lru_cache(maxsize=1024)
def is_non_loopback_address(host: str) -> bool:
    """Return True for an IP address that is not loopback. A host name or a path returns False."""
    address = _parse(host)
    return address is not None and not address.is_loopback


def _parse(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # Rebuilt from its number to drop the zone id (fe80::1%eth0), which can be any text of any length.
    return address.ipv4_mapped or IPv6Address(int(address))
