"""Settings from the environment or `.env`. An invalid value prevents the start with one line that names the setting."""

import ssl
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url

from app.core.config.local_hosts import is_local_host_header, is_loopback_host, url_host
from app.core.config.names import first_fault, first_renamed
from app.core.config.types import (
    POSTGRESQL_BACKENDS,
    DatabaseUrl,
    EmailAddress,
    Host,
    ListSetting,
    Network,
    Origin,
    PathPrefix,
    RoleName,
    ZoneName,
)

DEFAULT_ADMIN_EMAIL = "admin@example.com"
DEFAULT_ADMIN_PASSWORD = "adminpassword"  # noqa: S105 - the published default, which production rejects
DEMO_PASSWORD = "a demo company in Lisbon"  # noqa: S105 - published, for the users of the demo company
PUBLISHED_PASSWORDS = (DEFAULT_ADMIN_PASSWORD, DEMO_PASSWORD)
KNOWN_SECRET_KEYS = frozenset(
    {
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # from the FastAPI tutorial
        "change-me-change-me-change-me-change-me-change-me",  # from .env.example
    }
)
ENV_FILE, ENV_FILE_ENCODING = ".env", "utf-8-sig"  # editors on Windows begin a file with a byte order mark
MIN_SECRET_KEY_LENGTH = 32  # characters. HS256 requires a key as long as its digest (RFC 7518, section 3.2).


class Environment(StrEnum):
    development = "development"
    production = "production"


class SmtpTls(StrEnum):
    starttls = "starttls"
    tls = "tls"
    none = "none"


class InvalidSettings(Exception):
    """A setting is invalid or insecure, so the service does not start. The message names the setting, not its value."""


MAX_IDLE_DAYS, MAX_SESSION_DAYS = 90, 366
"""The largest REFRESH_TOKEN_EXPIRE_DAYS and SESSION_MAX_DAYS."""


class Settings(BaseSettings):
    """All settings of the service. `.env.example` explains each of them. An empty value counts as not set."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENV_FILE_ENCODING,
        env_ignore_empty=True,
        enable_decoding=False,  # ListSetting decodes
        extra="ignore",
        hide_input_in_errors=True,
    )

    DB_URL: DatabaseUrl = "sqlite:///./time_tracking.db"
    SECRET_KEY: SecretStr | None = None
    SECRET_KEY_FILE: Path = Path(".signing-key")
    AUDIT_KEY: SecretStr | None = None
    AUDIT_PREVIOUS_KEYS: ListSetting[SecretStr] = Field(default=[], max_length=20)
    ALGORITHM: Literal["HS256", "HS384", "HS512"] = "HS256"
    ACCESS_TOKEN_EXPIRE_MINUTES: int = Field(default=30, ge=1, le=1440)
    REFRESH_TOKEN_EXPIRE_DAYS: int = Field(default=14, ge=1, le=MAX_IDLE_DAYS)
    SESSION_MAX_DAYS: int = Field(default=90, ge=1, le=MAX_SESSION_DAYS)
    REQUIRE_PASSWORD_CHANGE: bool = False
    PASSWORD_LINK_HOURS: int = Field(default=48, ge=1, le=336)
    PASSWORD_LINK_URL: str = Field(default="", max_length=500)
    API_TOKEN_MAX_DAYS: int = Field(default=366, ge=1, le=3660)
    TOTP_KEY: SecretStr | None = None
    TOTP_PREVIOUS_KEYS: ListSetting[SecretStr] = Field(default=[], max_length=20)
    TOTP_ISSUER: str = Field(default="Time Tracking", min_length=1, max_length=60, pattern="^[^:]+$")
    REQUIRE_TOTP_ROLES: ListSetting[RoleName] = []
    ENVIRONMENT: Environment = Environment.development
    LOG_FORMAT: Literal["json", "text"] | None = None
    METRICS_TOKEN: SecretStr | None = None
    MIN_FREE_DISK_MB: int = Field(default=100, ge=0, le=1_000_000_000)
    DEBUG: bool = False
    HOST: str = "127.0.0.1"
    PORT: int = Field(default=8000, ge=0, le=65535)
    WORKERS: int = Field(default=1, ge=1, le=64)
    DEFAULT_TIME_ZONE: ZoneName = "UTC"
    COMPANY_NAME: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
    STALE_ENTRY_HOURS: int = Field(default=16, ge=1, le=168)
    MAX_ENTRY_HOURS: int = Field(default=24, ge=1, le=168)
    EDIT_WINDOW_DAYS: int = Field(default=31, ge=0, le=3660)
    REMIND_AFTER_DAYS: int = Field(default=2, ge=0, le=366)
    RETENTION_DAYS: int = Field(default=1826, ge=0, le=36_600)
    FIRST_ADMIN_EMAIL: EmailAddress = DEFAULT_ADMIN_EMAIL
    FIRST_ADMIN_PASSWORD: SecretStr = SecretStr(DEFAULT_ADMIN_PASSWORD)
    CORS_ORIGINS: ListSetting[Origin] = Field(default=[], max_length=100)
    CORS_ALLOW_CREDENTIALS: bool = False
    TRUSTED_PROXIES: ListSetting[Network] = Field(default=[], max_length=100)
    TRUSTED_HOSTS: ListSetting[Host] = Field(default=[], max_length=100)
    ROOT_PATH: PathPrefix = Field(default="", max_length=200)
    DOCS: bool | None = None
    PAGE: bool = True
    HEADER_TIMEOUT_SECONDS: int = Field(default=10, ge=1, le=600)
    BODY_TIMEOUT_SECONDS: int = Field(default=20, ge=1, le=600)
    RESPONSE_WRITE_TIMEOUT_SECONDS: int = Field(default=60, ge=1, le=3600)
    MAX_CONNECTIONS: int = Field(default=800, ge=1, le=100_000)
    SMTP_HOST: str | None = Field(default=None, max_length=253, pattern=r"^[!-~]+$")
    SMTP_PORT: int = Field(default=587, ge=1, le=65535)
    SMTP_TLS: SmtpTls = SmtpTls.starttls
    SMTP_CA_FILE: Path | None = None
    SMTP_USER: str | None = Field(default=None, min_length=1, max_length=254)
    SMTP_PASSWORD: SecretStr | None = None
    MAIL_FROM: EmailAddress | None = None
    DB_POOL_SIZE: int = Field(default=4, ge=2, le=64)
    REQUESTS_PER_MINUTE: int = Field(default=1200, ge=10, le=1_000_000)
    MAX_AUDIT_MIB_PER_HOUR: int = Field(default=4, ge=1, le=10_000)
    MAX_CONCURRENT_REPORTS: int = Field(default=2, ge=1, le=16)
    EXPORT_TIMEOUT_SECONDS: int = Field(default=900, ge=1, le=86_400)
    DB_STATEMENT_TIMEOUT_SECONDS: int = Field(default=7, ge=1, le=600)
    DB_LOCK_TIMEOUT_SECONDS: int = Field(default=5, ge=1, le=60)

    @cached_property
    def database_url(self) -> URL:
        """DB_URL for SQLAlchemy. The driver is set to psycopg2 because SQLAlchemy 2.1 defaults to psycopg 3."""
        url = make_url(self.DB_URL)
        if url.get_backend_name() in POSTGRESQL_BACKENDS:
            return url.set(drivername="postgresql+psycopg2")
        return url

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.get_backend_name() == "sqlite"

    @property
    def database_file(self) -> Path | None:
        """The absolute path of the SQLite file of DB_URL, or None for PostgreSQL."""
        return Path(str(self.database_url.database)).resolve() if self.is_sqlite else None

    @property
    def secret_key_file(self) -> Path:
        """The absolute path of SECRET_KEY_FILE, which is relative to the SQLite file or else the working directory."""
        folder = Path.cwd() if self.database_file is None else self.database_file.parent
        return folder / self.SECRET_KEY_FILE

    @property
    def database_kind(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite" if self.is_sqlite else "postgresql"

    @property
    def redacted_database_url(self) -> str:
        """The database's kind, host and name, for logs. The URL's user, password and options are left out.

        An SQLite file has its absolute path, because a relative one is another file in another working directory.
        """
        url = self.database_url
        if self.is_sqlite:
            return f"sqlite:///{self.database_file}"
        hosts = url.query.get("host", url.host)
        host = "" if hosts is None else hosts if isinstance(hosts, str) else ",".join(hosts)
        return f"{self.database_kind}://{host}/{url.database}"

    @property
    def logs_json(self) -> bool:
        """True if logs are JSON: by LOG_FORMAT or, if that is not set, in production."""
        return (self.LOG_FORMAT == "json") if self.LOG_FORMAT else self.ENVIRONMENT is Environment.production

    @property
    def request_permits(self) -> int:
        """Maximum number of concurrent database requests per worker process: DB_POOL_SIZE writers and one reader."""
        return self.DB_POOL_SIZE + 1

    @property
    def max_db_connections(self) -> int:
        """Maximum number of database connections per worker process, for requests and for reports."""
        return self.request_permits + self.MAX_CONCURRENT_REPORTS

    @property
    def is_exposed(self) -> bool:
        """True if other machines may reach the service, directly or through a proxy or a web page."""
        return self.exposing_setting is not None

    @property
    def exposing_setting(self) -> str | None:
        """The name of a setting that says that other machines may reach the service, or None if there is none.

        Even on a loopback address, a service with a proxy, a public name, a web page elsewhere or a mail server is for
        users of other machines.
        """
        signs = {
            "ENVIRONMENT": self.ENVIRONMENT is Environment.production,
            "HOST": not is_loopback_host(self.HOST),
            "TRUSTED_PROXIES": bool(self.TRUSTED_PROXIES),
            "TRUSTED_HOSTS": not all(map(is_local_host_header, self.TRUSTED_HOSTS)),
            "CORS_ORIGINS": not all(is_loopback_host(url_host(origin)) for origin in self.CORS_ORIGINS),
            "PASSWORD_LINK_URL": bool(self.PASSWORD_LINK_URL)
            and not is_loopback_host(url_host(self.PASSWORD_LINK_URL)),
            "SMTP_HOST": self.SMTP_HOST is not None and not is_loopback_host(self.SMTP_HOST),
        }
        return next((name for name, is_sign in signs.items() if is_sign), None)

    @property
    def password_page(self) -> str:
        """PASSWORD_LINK_URL, or the page of this service under its only public name. Empty if neither is known.

        It comes from settings only. A Host header could lead the user, with the token, to another server.
        """
        if self.PASSWORD_LINK_URL or not (self.PAGE and self.is_exposed and len(self.TRUSTED_HOSTS) == 1):
            return self.PASSWORD_LINK_URL
        return f"https://{self.TRUSTED_HOSTS[0]}{self.ROOT_PATH}/app/#/set-password/{{token}}"

    @property
    def has_docs(self) -> bool:
        """True if the API documentation is served: by DOCS or, if that is not set, unless `is_exposed`."""
        return not self.is_exposed if self.DOCS is None else self.DOCS

    @property
    def trusted_proxies(self) -> list[str]:
        """TRUSTED_PROXIES, with each IPv4 network also as IPv4-mapped IPv6: a dual-stack socket reports that form."""
        networks = [ip_network(text) for text in self.TRUSTED_PROXIES]
        mapped = [
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in networks
            if isinstance(network, IPv4Network)
        ]
        return [*map(str, networks), *mapped]

    @cached_property
    def smtp_ssl_context(self) -> ssl.SSLContext:
        """TLS context for the mail server. It trusts the CAs in SMTP_CA_FILE or, if that is not set, the system's.

        Raises InvalidSettings.
        """
        try:
            return ssl.create_default_context(cafile=self.SMTP_CA_FILE)
        except OSError:
            raise InvalidSettings("SMTP_CA_FILE can't be read. It must contain certificates in PEM format.") from None

    def ensure_valid(self) -> Self:
        """Return these settings. Raises InvalidSettings for an inconsistent or insecure combination.

        An exposed service must not run with published defaults, such as the first admin's password.
        """
        for name in ("AUDIT_KEY", "TOTP_KEY", "METRICS_TOKEN"):
            if (key := getattr(self, name)) is not None:
                reject_weak_key(name, key.get_secret_value())
        if self.PASSWORD_LINK_URL and "{token}" not in self.PASSWORD_LINK_URL:
            raise InvalidSettings("PASSWORD_LINK_URL must contain {token}, which is replaced by the token.")
        if self.SMTP_HOST is not None:
            self._check_mail_settings()
        if self.SECRET_KEY is not None:
            reject_weak_key("SECRET_KEY", self.SECRET_KEY.get_secret_value())
        elif self.is_exposed:
            raise InvalidSettings(f"SECRET_KEY is missing. {self._exposure} Set it to at least 32 random characters.")
        if not self.is_exposed:
            return self
        if self.FIRST_ADMIN_PASSWORD.get_secret_value() in PUBLISHED_PASSWORDS:
            raise InvalidSettings(
                f"FIRST_ADMIN_PASSWORD is the published default. {self._exposure} Set it, and FIRST_ADMIN_EMAIL."
            )
        if self.DEBUG:
            raise InvalidSettings(f"DEBUG is on. {self._exposure} Turn it off.")
        if "*" in self.CORS_ORIGINS and self.CORS_ALLOW_CREDENTIALS:
            raise InvalidSettings("CORS_ORIGINS must not be * with CORS_ALLOW_CREDENTIALS. List the allowed origins.")
        return self

    @property
    def _exposure(self) -> str:
        """The sentence of an error that says why the service must not run with published defaults."""
        return f"The service counts as exposed because of {self.exposing_setting}."

    def _check_mail_settings(self) -> None:
        if self.MAIL_FROM is None:
            raise InvalidSettings("MAIL_FROM is missing. SMTP_HOST requires a sender address.")
        if (self.SMTP_USER is None) != (self.SMTP_PASSWORD is None):
            raise InvalidSettings("SMTP_USER and SMTP_PASSWORD must be set together. Set both or neither.")
        if self.is_exposed and self.SMTP_PASSWORD is not None and self.SMTP_TLS is SmtpTls.none:
            raise InvalidSettings("SMTP_TLS is none, so SMTP_PASSWORD would be sent unencrypted. Set starttls or tls.")
        if self.SMTP_CA_FILE is not None:
            _ = self.smtp_ssl_context


def load_settings(**overrides: object) -> Settings:
    """Load the settings from the overrides, the environment and `.env`, in this order of precedence.

    Raises InvalidSettings with a message of one line.
    """
    if fault := first_fault(Settings.model_fields, ENV_FILE, encoding=ENV_FILE_ENCODING):
        raise InvalidSettings(fault)
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise InvalidSettings(f"{name}: {first['msg'].removeprefix('Value error, ')}.") from None
    if renamed := first_renamed(settings.model_fields_set, Settings.model_config):
        raise InvalidSettings("{} was renamed to {}. Set the new name.".format(*renamed))
    return settings.ensure_valid()


def reject_weak_key(name: str, key: str) -> None:
    """Raise InvalidSettings for a published example, and for a key that is too short or too repetitive."""
    if key in KNOWN_SECRET_KEYS:
        raise InvalidSettings(f"{name} is a published example. Set it to at least 32 random characters.")
    if len(key) < MIN_SECRET_KEY_LENGTH or len(set(key)) < 8:
        raise InvalidSettings(f"{name} is too short or too repetitive. Set it to at least 32 random characters.")
