"""Internet addresses as limits count them."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

UNKNOWN = "unknown"
HOST_BITS = 64  # of an IPv6 address: a customer, and often a single machine, has a whole /64

_Address = IPv4Address | IPv6Address


@lru_cache(maxsize=1024)
def normalize_address(text: str) -> str:
    """The address in its one shortest form, an IPv4 one as such however it was written; UNKNOWN for what is none."""
    address = _parse(text)
    return UNKNOWN if address is None else str(address)


def rate_limit_key(address: str) -> str:
    """The key under which an address is limited: IPv4 itself, IPv6 its /64, and what is none shares UNKNOWN."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> HOST_BITS << HOST_BITS, 128 - HOST_BITS)))
    return UNKNOWN if parsed is None else str(parsed)


@lru_cache(maxsize=1024)
def is_non_loopback_address(host: str) -> bool:
    """True for an address that others can reach: not for loopback, nor for a name or a path."""
    address = _parse(host)
    return address is not None and not address.is_loopback


def _parse(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # A new one of its number: the old one may carry a zone (fe80::1%eth0), which is any text of any length.
    return address.ipv4_mapped or IPv6Address(int(address))
