"""Types of settings that pydantic does not provide. Each error message completes the sentence "<setting>: ...".

The predicate is a half-sentence because `load_settings` puts the name of the setting in front of it.
"""

import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.core.email_addresses import normalize_address
from app.core.time.zones import zone_names

SQLITE_DRIVERS = frozenset({"sqlite", "sqlite+pysqlite"})
POSTGRESQL_BACKENDS = frozenset({"postgresql", "postgres"})
_JSON_START = re.compile(r'\s*(\[\s*["\]]|\{)')
"""Start of a JSON list of strings, or of an object. A list of hosts may begin with the bracket of an IPv6 address."""
PATH_PREFIX = r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
_HOST_PATTERN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")


def _validate_zone_name(name: str) -> str:
    if name not in zone_names():
        raise ValueError("is not a time zone of the IANA tz database")
    return name


def _validate_email(text: str) -> str:
    try:
        return normalize_address(text)
    except ValueError:
        raise ValueError("is not an e-mail address") from None


def _validate_database_url(url: str) -> str:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: an invalid port, whose text may contain part of a password
        raise ValueError("is not a database URL") from None
    if parsed.drivername not in SQLITE_DRIVERS and parsed.get_backend_name() not in POSTGRESQL_BACKENDS:
        raise ValueError("must start with sqlite:/// or postgresql://")
    if parsed.drivername in SQLITE_DRIVERS and (parsed.database in {None, "", ":memory:"} or parsed.query):
        raise ValueError("must name a file, without options: a database in memory is lost when the process ends")
    return url


def _validate_network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("contains a value that is not an IP address or network") from None
    if network.prefixlen == 0:
        raise ValueError("contains a network of all addresses, so any client could forge its address")
    return str(network)


def _validate_path_prefix(text: str) -> str:
    prefix = text.rstrip("/")
    if not re.fullmatch(PATH_PREFIX, prefix):
        raise ValueError("is not a path like /time")
    return prefix


def _validate_host(text: str) -> str:
    name = text.lower()
    if not _HOST_PATTERN.fullmatch(name):
        raise ValueError("contains a value that is not a host name or IP address. Leave out the port")
    return name


def _validate_origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    name = re.sub(r":\d{1,5}$", "", host)
    if text != "*" and (scheme not in {"http", "https"} or not separator or not _HOST_PATTERN.fullmatch(name)):
        raise ValueError("contains a value that is not an origin like https://app.example.com (lower case, no path)")
    return text


def _parse_list(value: Any) -> Any:
    """Parse the text of a list: JSON, or parts separated by commas."""
    if not isinstance(value, str):
        return value
    if not _JSON_START.match(value):
        return [part.strip() for part in value.split(",") if part.strip()]
    try:
        return TypeAdapter(list[Any]).validate_json(value)
    except ValidationError:
        raise ValueError('must be a list, separated by commas or in JSON: a, b or ["a", "b"]') from None


Item = TypeVar("Item")
ListSetting = Annotated[list[Item], BeforeValidator(_parse_list)]
"""A list, separated by commas or in JSON. JSON is needed only if an item contains a comma."""
DatabaseUrl = Annotated[str, AfterValidator(_validate_database_url)]
"""The URL of an SQLite file or of a PostgreSQL database."""
EmailAddress = Annotated[str, AfterValidator(_validate_email)]
"""An e-mail address, also one of a company's own network."""
Host = Annotated[str, AfterValidator(_validate_host)]
"""A host name or IP address as in the Host header of a request, without a port."""
Network = Annotated[str, AfterValidator(_validate_network)]
"""An IP address or network. The network of all addresses is rejected."""
Origin = Annotated[str, AfterValidator(_validate_origin)]
"""An origin as browsers send it, or * for all. `null` is rejected because any sandboxed page can send it."""
RoleName = Literal["employee", "manager", "admin"]
PathPrefix = Annotated[str, AfterValidator(_validate_path_prefix)]
"""The path under which a proxy serves the API, without a slash at its end."""
ZoneName = Annotated[str, AfterValidator(_validate_zone_name)]
"""The name of a time zone in the IANA tz database."""
