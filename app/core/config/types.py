"""What a setting's text may be, where pydantic has no word for it. Each says in half a sentence what is wrong."""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.core.time.zones import zone_names

SQLITE_DRIVERS = frozenset({"sqlite", "sqlite+pysqlite"})
POSTGRESQL_BACKENDS = frozenset({"postgresql", "postgres"})
_HOST_PATTERN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")


def _validate_zone_name(name: str) -> str:
    if name not in zone_names():
        raise ValueError("is not a name of the tz database")
    return name


def _validate_database_url(url: str) -> str:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number, with the end of a password in it
        raise ValueError("is not a database URL") from None
    if parsed.drivername not in SQLITE_DRIVERS and parsed.get_backend_name() not in POSTGRESQL_BACKENDS:
        raise ValueError("must start with sqlite:/// or postgresql://")
    if parsed.drivername in SQLITE_DRIVERS and (parsed.database in {None, "", ":memory:"} or parsed.query):
        raise ValueError("must name a file and no options: a database in memory would forget what it acknowledged")
    return url


def _validate_network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("holds something that is no IP address and no network") from None
    if network.prefixlen == 0:
        raise ValueError("trusts everybody: then anybody could claim any address")
    return str(network)


def _validate_host(text: str) -> str:
    name = text.lower()
    if not _HOST_PATTERN.fullmatch(name):
        raise ValueError("holds something that is no name and no address of a host; a port doesn't belong to it")
    return name


def _validate_origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    name = re.sub(r":\d{1,5}$", "", host)
    if text != "*" and (scheme not in {"http", "https"} or not separator or not _HOST_PATTERN.fullmatch(name)):
        raise ValueError("holds something that is no origin: write https://app.example.com, lower case, without a path")
    return text


DatabaseUrl = Annotated[str, AfterValidator(_validate_database_url)]
"""The URL of an SQLite file or of a PostgreSQL database."""
Host = Annotated[str, AfterValidator(_validate_host)]
"""What a request's Host header may name, without its port."""
Network = Annotated[str, AfterValidator(_validate_network)]
"""An IP address, or a network that isn't everybody."""
Origin = Annotated[str, AfterValidator(_validate_origin)]
"""An origin as browsers write it, or * for all. Never `null`: any page can be that."""
ZoneName = Annotated[str, AfterValidator(_validate_zone_name)]
"""An IANA time zone."""
