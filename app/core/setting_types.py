"""What a setting's text may be, where pydantic has no word for it. Each says in half a sentence what is wrong."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.core.time_zones import zone_names

SQLITE_NAMES = frozenset({"sqlite", "sqlite+pysqlite"})
POSTGRESQL_NAMES = frozenset({"postgresql", "postgres"})


def _known_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError("is not a name of the tz database")
    return name


def _database_url(url: str) -> str:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number, with the end of a password in it
        raise ValueError("is not a database URL") from None
    if parsed.drivername not in SQLITE_NAMES and parsed.get_backend_name() not in POSTGRESQL_NAMES:
        raise ValueError("must start with sqlite:/// or postgresql://")
    if parsed.drivername in SQLITE_NAMES and (parsed.database in {None, "", ":memory:"} or parsed.query):
        raise ValueError("must name a file and no options: a database in memory would forget what it acknowledged")
    return url


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("holds something that is no IP address and no network") from None
    if network.prefixlen == 0:
        raise ValueError("trusts everybody: then anybody could claim any address")
    return str(network)


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
"""The URL of an SQLite file or of a PostgreSQL database."""
Network = Annotated[str, AfterValidator(_network)]
"""An IP address, or a network that isn't everybody."""
ZoneName = Annotated[str, AfterValidator(_known_zone)]
"""An IANA time zone."""
