"""Settings: errors of one line without secrets, and no start with published defaults (threats 16)."""

import json
import re
import shutil
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.core.config.names import RENAMED
from app.core.config.settings import DEFAULT_ADMIN_PASSWORD, DEMO_PASSWORD, InvalidSettings, Settings, load_settings

pytestmark = pytest.mark.usefixtures("no_settings")
EXAMPLE = Path(__file__).resolve().parents[3] / ".env.example"
OWN_KEY = "thirty-two characters of one's own"
FRONT_END = "https://app.example.com/set-password#{token}"
OWN_SECRETS = {"SECRET_KEY": OWN_KEY, "FIRST_ADMIN_PASSWORD": "violet-harbour-42-lantern"}
EXPOSED = [
    {"ENVIRONMENT": "production"},
    {"HOST": "0.0.0.0"},
    {"HOST": "::"},
    {"HOST": "time.example.com"},
    {"HOST": "testserver"},
    {"TRUSTED_PROXIES": '["127.0.0.1"]'},
    {"TRUSTED_HOSTS": '["localhost", "time.example.com"]'},
    {"CORS_ORIGINS": '["http://localhost:3000", "https://app.example.com"]'},
    {"CORS_ORIGINS": '["*"]'},
    {"CORS_ORIGINS": '["http://192.0.2.1:3000"]'},
    {"PASSWORD_LINK_URL": "https://app.example.com/set-password#{token}"},
    {"PASSWORD_LINK_URL": "https://localhost@app.example.com/#{token}"},
    {"SMTP_HOST": "smtp.example.com", "MAIL_FROM": "ett@example.com"},
]
WEAK_KEYS = {
    "short": "only-31-characters-long-1234567",
    "plain": "ab" * 20,
    "of FastAPI's tutorial": "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "of .env.example": "change-me-change-me-change-me-change-me-change-me",
}
MAIL = {"SMTP_HOST": "smtp.example.com", "MAIL_FROM": "ett@example.com"}
OPTIONAL = {
    "LOG_FORMAT",
    "METRICS_TOKEN",
    "DOCS",
    "TOTP_KEY",
    "SECRET_KEY",
    "AUDIT_KEY",
    "SMTP_HOST",
    "SMTP_CA_FILE",
    "SMTP_USER",
    "SMTP_PASSWORD",
    "MAIL_FROM",
}
BAD = [
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "soon"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "-17"),
    ("ALGORITHM", "none"),
    ("ALGORITHM", "RS256"),
    ("API_TOKEN_MAX_DAYS", "3661"),
    ("AUDIT_PREVIOUS_KEYS", '["pencil", "stapler"'),
    ("AUDIT_PREVIOUS_KEYS", '{"pencil": "stapler"}'),
    ("CORS_ALLOW_CREDENTIALS", "perhaps"),
    ("BODY_TIMEOUT_SECONDS", "601"),
    ("CORS_ORIGINS", "https://app.example.com, app.example.com"),
    ("CORS_ORIGINS", '["null"]'),
    ("CORS_ORIGINS", '["app.example.com"]'),
    ("CORS_ORIGINS", '["https://app.example.com/"]'),
    ("CORS_ORIGINS", '["https://*.example.com"]'),
    ("CORS_ORIGINS", '["https://App.example.com"]'),
    ("CORS_ORIGINS", '{"origin": "https://app.example.com"}'),
    ("DB_LOCK_TIMEOUT_SECONDS", "0.25"),
    ("DB_POOL_SIZE", "6500"),
    ("DB_STATEMENT_TIMEOUT_SECONDS", "later"),
    ("DB_URL", "the database next door"),
    ("DB_URL", "mysql://ana:pencil@db.example.com/ett"),
    ("DB_URL", "sqlite+aiosqlite:///ett.db"),
    ("DB_URL", "postgresql://ana:pencil@case:stapler@db.example.com/ett"),
    ("DEBUG", "sometimes"),
    ("DEFAULT_TIME_ZONE", "Mars/Olympus"),
    ("DOCS", "perhaps not"),
    ("EDIT_WINDOW_DAYS", "-2"),
    ("MAIL_FROM", "nobody"),
    ("MAIL_FROM", "Ana <ana@example.com>, bob@example.com"),
    ("ENVIRONMENT", "staging"),
    ("MAX_CONCURRENT_REPORTS", "-3"),
    ("EXPORT_TIMEOUT_SECONDS", "0"),
    ("REQUESTS_PER_MINUTE", "9"),
    ("REQUESTS_PER_MINUTE", "without end"),
    ("FIRST_ADMIN_EMAIL", "nobody"),
    ("LOG_FORMAT", "xml"),
    ("HEADER_TIMEOUT_SECONDS", "0.5"),
    ("MAX_CONNECTIONS", "0"),
    ("MAX_ENTRY_HOURS", "169"),
    ("MIN_FREE_DISK_MB", "-50"),
    ("METRICS_TOKEN", "thirty-one characters, not more"),
    ("REQUIRE_PASSWORD_CHANGE", "someday"),
    ("PASSWORD_LINK_HOURS", "337"),
    ("PASSWORD_LINK_URL", "https://time.example.com/set-password"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "91"),
    ("REQUIRE_TOTP_ROLES", '["boss"]'),
    ("REQUIRE_TOTP_ROLES", "admin boss"),
    ("RESPONSE_WRITE_TIMEOUT_SECONDS", "3601"),
    ("SESSION_MAX_DAYS", "367"),
    ("TOTP_ISSUER", "ett:time"),
    ("TOTP_PREVIOUS_KEYS", '["stapler",]'),
    ("PORT", "70000"),
    ("PORT", "http"),
    ("REMIND_AFTER_DAYS", "367"),
    ("RETENTION_DAYS", "for good"),
    ("SMTP_HOST", "x" * 254),
    ("SMTP_HOST", "smtp.example.com\n"),
    ("SMTP_PORT", "0"),
    ("SMTP_TLS", "ssl"),
    ("SMTP_USER", "x" * 255),
    ("STALE_ENTRY_HOURS", "forever"),
    ("TRUSTED_HOSTS", "time.example.com; localhost"),
    ("ROOT_PATH", "zeit"),
    ("ROOT_PATH", "//zeit"),
    ("ROOT_PATH", "https://example.com/zeit"),
    ("TRUSTED_HOSTS", '["https://time.example.com"]'),
    ("TRUSTED_HOSTS", '["time.example.com:8000"]'),
    ("TRUSTED_HOSTS", '["*"]'),
    ("TRUSTED_HOSTS", '["*.example.com"]'),
    ("TRUSTED_HOSTS", '["time.example.com\\n"]'),
    ("TRUSTED_PROXIES", "10.0.0.5 10.0.0.6"),
    ("TRUSTED_PROXIES", '["proxy.example.com"]'),
    ("TRUSTED_PROXIES", '["10.0.0.5/8"]'),
    ("TRUSTED_PROXIES", '["*"]'),
    ("TRUSTED_PROXIES", '["0.0.0.0/0"]'),
    ("TRUSTED_PROXIES", '["10.0.0.5", "::/0"]'),
    ("TRUSTED_PROXIES", "[5]"),
    ("TRUSTED_PROXIES", f"""["10.0.0.5"{', "10.0.0.5"' * 100}]"""),
    ("WORKERS", "650"),
]


@pytest.fixture
def environment(monkeypatch):
    """Set environment variables: `environment(PORT="9000")`."""

    def set_variables(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_with_nothing_set_it_runs_on_an_sqlite_file_for_this_machine_only():
    settings = load_settings()

    assert settings.is_sqlite
    assert not settings.is_exposed


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_stops_the_start_with_one_line_that_names_the_variable_and_never_the_value(
    environment, name, value
):
    environment(**{name: value})

    with pytest.raises(InvalidSettings) as error:
        load_settings()

    message = str(error.value)
    assert name in message
    assert "\n" not in message
    assert all(part not in message for part in (value, "pencil", "stapler"))


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_refusal_uses_no_word_of_a_programmer(environment, name, value):
    environment(**{name: value})

    with pytest.raises(InvalidSettings) as error:
        load_settings()

    assert re.search(r"error parsing|Source|Error\b|dict\b|NoneType", str(error.value)) is None


@pytest.mark.parametrize("written", ["{}, {}", "{},{}", " {} ,{}, ", '["{}", "{}"]', '[ "{}","{}" ]'])
@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("CORS_ORIGINS", ["https://a.example.com", "https://b.example.com"]),
        ("TRUSTED_HOSTS", ["[2001:db8::1]", "time.example.com"]),
        ("TRUSTED_PROXIES", ["10.0.0.0/8", "fd00::/64"]),
        ("REQUIRE_TOTP_ROLES", ["admin", "manager"]),
    ],
)
def test_a_list_is_written_with_commas_or_as_json(environment, name, items, written):
    environment(**OWN_SECRETS, **{name: written.format(*items)})

    assert getattr(load_settings(), name) == items


@pytest.mark.parametrize("written", [f"{OWN_KEY}, {OWN_KEY[::-1]}", json.dumps([OWN_KEY, OWN_KEY[::-1]])])
@pytest.mark.parametrize("name", ["AUDIT_PREVIOUS_KEYS", "TOTP_PREVIOUS_KEYS"])
def test_previous_keys_are_written_with_commas_or_as_json(environment, name, written):
    environment(**{name: written})

    assert [key.get_secret_value() for key in getattr(load_settings(), name)] == [OWN_KEY, OWN_KEY[::-1]]


def test_a_setting_without_a_value_counts_as_not_set(environment):
    """As `docker compose` passes a variable that is not set."""
    defaults = load_settings()
    environment(**dict.fromkeys(Settings.model_fields, ""))

    assert load_settings() == defaults


def test_an_empty_variable_leaves_the_value_of_the_file(environment):
    Path(".env").write_text("DEFAULT_TIME_ZONE=Europe/Lisbon\n")
    environment(DEFAULT_TIME_ZONE="")

    assert load_settings().DEFAULT_TIME_ZONE == "Europe/Lisbon"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ACESS_TOKEN_EXPIRE_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
        ("trusted_host", "TRUSTED_HOSTS"),
        ("SMTP_USERNAME", "SMTP_USER"),
        ("WORKER", "WORKERS"),
        ("SECRET_KEY_FLIE", "SECRET_KEY_FILE"),
        ("DEFAULT_TIMEZONE", "DEFAULT_TIME_ZONE"),
        ("dburl", "DB_URL"),
        ("SECRET-KEY", "SECRET_KEY"),
    ],
)
def test_a_misspelled_setting_in_the_file_stops_the_start_with_the_right_name(written, name):
    Path(".env").write_text(f"{written}=5\n")

    with pytest.raises(InvalidSettings) as error:
        load_settings()

    assert str(error.value) == f"{written} in .env is not a setting. Did you mean {name}?"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('CORS_ORIGINS="https://a.example.com", "https://b.example.com"', "CORS_ORIGINS"),
        ("PORT: 8411", "PORT"),
        ("export db_url sqlite:///./hours.db", "DB_URL"),
        ("COMPANY_NAME='Ana's bakery'", "COMPANY_NAME"),
    ],
)
def test_a_setting_that_is_not_written_as_name_and_value_stops_the_start_with_its_line(line, name):
    Path(".env").write_text(f"WORKERS=2\n\n{line}\n")

    with pytest.raises(InvalidSettings) as error:
        load_settings()

    assert str(error.value) == f"{name} in .env is not set: line 3 is not written as NAME=value."


def test_lines_for_a_shell_and_a_virtual_environment_of_that_name_are_left_alone(environment):
    Path(".env").write_text("set -a\n[service]\nPORT\nWORKERS=2\n")
    assert load_settings().WORKERS == 2

    Path(".env").unlink()
    Path(".env").mkdir()
    assert load_settings().WORKERS == 1


def test_a_file_that_cannot_be_read_stops_the_start_with_one_line():
    Path(".env").symlink_to("/proc/self/mem")  # no user can read its first page

    with pytest.raises(InvalidSettings, match=r"^\.env cannot be read: "):
        load_settings()


def test_variables_of_other_programs_are_left_alone(environment):
    """Those of compose.yaml and of PostgreSQL in the file, and any in the environment."""
    compose = re.findall(r"\$\{(\w+)", EXAMPLE.with_name("compose.yaml").read_text())
    others = {
        *compose,
        "POSTGRES_PASSWORD",
        "PGHOST",
        "DB_USER",
        "APP_SECRET_KEY",
        "EDITOR",
    } - Settings.model_fields.keys()
    Path(".env").write_text("".join(f"{name}=1\n" for name in others))
    environment(ACESS_TOKEN_EXPIRE_MINUTES="5")

    assert load_settings().ACCESS_TOKEN_EXPIRE_MINUTES == 30


def test_a_file_of_an_editor_on_windows_is_read(environment):
    Path(".env").write_bytes("\ufeffWORKERS=2\r\nPORT=9001\r\n".encode())

    assert (load_settings().WORKERS, load_settings().PORT) == (2, 9001)


def test_a_file_that_is_not_in_utf_8_stops_the_start():
    Path(".env").write_bytes("TOTP_ISSUER=Büro\n".encode("latin-1"))

    with pytest.raises(InvalidSettings, match=r"^\.env is not encoded in UTF-8\."):
        load_settings()


@pytest.mark.parametrize(("former", "name"), RENAMED.items())
def test_a_setting_under_its_former_name_stops_the_start_with_the_new_name(environment, former, name):
    environment(**{former: "5"})

    with pytest.raises(InvalidSettings, match=rf"^{former} was renamed to {name}\. Set the new name\.$"):
        load_settings()


def test_a_former_name_in_the_file_is_seen_too(environment, tmp_path):
    (tmp_path / ".env").write_text("REPORTS_AT_ONCE=5\n")

    with pytest.raises(InvalidSettings, match=r"^REPORTS_AT_ONCE was renamed to MAX_CONCURRENT_REPORTS"):
        load_settings()


def test_one_file_with_both_names_serves_both_releases_of_a_rolling_upgrade(environment):
    environment(REPORTS_AT_ONCE="5", MAX_CONCURRENT_REPORTS="3")

    assert load_settings().MAX_CONCURRENT_REPORTS == 3


@pytest.mark.parametrize(
    ("settings", "is_json"),
    [
        ({}, False),
        ({"ENVIRONMENT": "production"} | OWN_SECRETS, True),
        ({"LOG_FORMAT": "json"}, True),
        ({"LOG_FORMAT": "text", "ENVIRONMENT": "production"} | OWN_SECRETS, False),
    ],
)
def test_production_logs_json_and_development_text_unless_told_otherwise(environment, settings, is_json):
    environment(**settings)

    assert load_settings().logs_json is is_json


@pytest.mark.parametrize(
    ("db_url", "redacted"),
    [
        ("sqlite:////var/lib/ett/time.db", "sqlite:////var/lib/ett/time.db"),
        ("postgresql://ana:pencil@db.example.com:6432/ett", "postgresql://db.example.com/ett"),
        ("postgresql://ana:pencil@/ett?host=a:5432&host=b:5432", "postgresql://a:5432,b:5432/ett"),
        ("postgresql://db.example.com/ett?user=ana&password=pencil", "postgresql://db.example.com/ett"),
        ("postgresql:///ett", "postgresql:///ett"),
    ],
)
def test_a_log_names_the_database_and_nobody_who_may_use_it(environment, db_url, redacted):
    environment(DB_URL=db_url)

    assert load_settings().redacted_database_url == redacted


def test_a_log_names_the_sqlite_file_with_its_folder(tmp_path):
    assert load_settings().redacted_database_url == f"sqlite:///{tmp_path}/time_tracking.db"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_a_developer_on_loopback_may_use_every_default(environment, host):
    environment(HOST=host, DEBUG="true")

    assert not load_settings().is_exposed


def test_a_developer_may_name_hosts_pages_and_a_mail_server_of_this_machine(environment):
    environment(
        TRUSTED_HOSTS='["localhost", "127.0.0.1", "[::1]", "testserver"]',
        CORS_ORIGINS='["http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:3000"]',
        PASSWORD_LINK_URL="http://localhost:3000/set-password#{token}",
        SMTP_HOST="127.0.0.1",
        MAIL_FROM="ett@example.com",
    )

    assert not load_settings().is_exposed


@pytest.mark.parametrize(
    ("settings", "page"),
    [
        ({"TRUSTED_HOSTS": "time.example.com"}, "https://time.example.com/app/#/set-password/{token}"),
        (
            {"TRUSTED_HOSTS": "example.com", "ROOT_PATH": "/zeit"},
            "https://example.com/zeit/app/#/set-password/{token}",
        ),
        ({"TRUSTED_HOSTS": "time.example.com", "PASSWORD_LINK_URL": FRONT_END}, FRONT_END),
        ({"TRUSTED_HOSTS": "time.example.com", "PAGE": "false"}, ""),
        ({"TRUSTED_HOSTS": "time.example.com, zeit.example.com"}, ""),
        ({"TRUSTED_PROXIES": "10.0.0.5"}, ""),
        ({"TRUSTED_HOSTS": "localhost"}, ""),
    ],
)
def test_password_links_lead_to_the_page_under_the_only_public_name(environment, settings, page):
    environment(**OWN_SECRETS, **settings)

    assert load_settings().password_page == page


@pytest.mark.parametrize("exposed", EXPOSED, ids=lambda exposed: next(iter(exposed.values())))
def test_where_others_can_reach_it_it_starts_on_secrets_of_its_own(environment, exposed):
    environment(**{"CORS_ORIGINS": '["*"]', **exposed, **OWN_SECRETS})

    assert load_settings().is_exposed


@pytest.mark.parametrize("exposed", EXPOSED, ids=lambda exposed: next(iter(exposed.values())))
def test_where_others_can_reach_it_the_pages_of_the_document_are_shown_when_asked_for(environment, exposed):
    assert load_settings().has_docs

    environment(**exposed, **OWN_SECRETS)
    assert not load_settings().has_docs
    assert load_settings(DOCS=True).has_docs


def test_hosts_and_origins_are_taken_as_they_are_written(environment):
    hosts = '["time.example.com", "Time.Example.com", "localhost", "192.0.2.1", "[2001:db8::1]"]'
    origins = '["*", "https://app.example.com", "http://localhost:3000", "http://[::1]:3000"]'
    environment(**OWN_SECRETS, TRUSTED_HOSTS=hosts, CORS_ORIGINS=origins)

    settings = load_settings()

    assert json.loads(hosts.lower()) == settings.TRUSTED_HOSTS
    assert json.loads(origins) == settings.CORS_ORIGINS


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("SECRET_KEY", {"SECRET_KEY": None}),
        *[("SECRET_KEY", {"SECRET_KEY": key}) for key in WEAK_KEYS.values()],
        *[("AUDIT_KEY", {"SECRET_KEY": OWN_KEY, "AUDIT_KEY": key}) for key in WEAK_KEYS.values()],
        *[("TOTP_KEY", {"SECRET_KEY": OWN_KEY, "TOTP_KEY": key}) for key in WEAK_KEYS.values()],
        *[("METRICS_TOKEN", {"SECRET_KEY": OWN_KEY, "METRICS_TOKEN": key}) for key in WEAK_KEYS.values()],
        ("FIRST_ADMIN_PASSWORD", {"FIRST_ADMIN_PASSWORD": None}),
        ("FIRST_ADMIN_PASSWORD", {"FIRST_ADMIN_PASSWORD": DEFAULT_ADMIN_PASSWORD}),
        ("FIRST_ADMIN_PASSWORD", {"FIRST_ADMIN_PASSWORD": DEMO_PASSWORD}),
        ("DEBUG", {"DEBUG": "true"}),
        ("SMTP_TLS", {**MAIL, "SMTP_USER": "ett", "SMTP_PASSWORD": "pencil-case", "SMTP_TLS": "none"}),
        ("CORS_ORIGINS", {"CORS_ORIGINS": '["https://app.example.com", "*"]', "CORS_ALLOW_CREDENTIALS": "true"}),
    ],
)
@pytest.mark.parametrize("exposed", EXPOSED, ids=lambda exposed: next(iter(exposed.values())))
def test_where_others_can_reach_it_it_refuses_what_everybody_knows(environment, exposed, name, changes):
    """Threats 16."""
    settings_values = {**exposed, **OWN_SECRETS, **changes}
    environment(**{name: value for name, value in settings_values.items() if value is not None})

    with pytest.raises(InvalidSettings) as error:
        load_settings()

    message = str(error.value)
    assert message.startswith(name)
    assert "\n" not in message
    secrets = [settings_values["SECRET_KEY"], settings_values["FIRST_ADMIN_PASSWORD"]]
    assert all(secret not in message for secret in secrets if secret is not None)


@pytest.mark.parametrize("exposed", EXPOSED, ids=lambda exposed: next(iter(exposed.values())))
def test_a_refused_start_names_the_setting_by_which_others_may_reach_it(environment, exposed):
    environment(**exposed)

    with pytest.raises(InvalidSettings, match=r"^SECRET_KEY is missing\. ") as error:
        load_settings()

    assert f"The service counts as exposed because of {next(iter(exposed))}." in str(error.value)


@pytest.mark.parametrize("key", WEAK_KEYS.values(), ids=WEAK_KEYS.keys())
def test_a_weak_secret_key_is_refused_even_in_development(environment, key):
    environment(SECRET_KEY=key)

    with pytest.raises(InvalidSettings, match=r"^SECRET_KEY is "):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_FROM", None),
        ("SMTP_USER", "ett"),
        ("SMTP_PASSWORD", "pencil-case"),
        ("SMTP_CA_FILE", "no such file"),
        ("SMTP_CA_FILE", "."),
        ("SMTP_CA_FILE", "empty.pem"),
    ],
)
def test_mail_that_could_not_be_sent_stops_the_start(environment, name, value):
    Path("empty.pem").touch()
    settings_values = MAIL | {name: value}
    environment(**{key: setting for key, setting in settings_values.items() if setting is not None})

    with pytest.raises(InvalidSettings, match=name) as error:
        load_settings()

    assert "\n" not in str(error.value)
    assert "pencil" not in str(error.value)


def test_a_developers_own_mail_server_needs_no_encryption(environment):
    environment(**MAIL | {"SMTP_HOST": "localhost"}, SMTP_TLS="none", SMTP_USER="ett", SMTP_PASSWORD="pencil-case")

    assert load_settings().SMTP_HOST == "localhost"


def test_a_relay_next_door_that_asks_for_no_password_needs_no_encryption(environment):
    environment(**MAIL, **OWN_SECRETS, ENVIRONMENT="production", SMTP_TLS="none")

    assert load_settings().is_exposed


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_every_way_to_write_postgresql_means_the_driver_that_is_installed(environment, scheme):
    environment(DB_URL=f"{scheme}://ana:pencil@/ett?host=a:5432&host=b:5432&target_session_attrs=read-write")

    url = load_settings().database_url

    assert url.drivername == "postgresql+psycopg2"
    assert url.query["host"] == ("a:5432", "b:5432")


@pytest.mark.parametrize(
    "db_url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:ett?mode=memory&uri=true"]
)
def test_a_database_in_memory_is_refused_since_it_would_forget_what_it_acknowledged(environment, db_url):
    environment(DB_URL=db_url)

    with pytest.raises(InvalidSettings, match=r"^DB_URL: must name a file"):
        load_settings()


def test_an_option_beats_the_environment_which_beats_the_file(environment):
    Path(".env").write_text("WORKERS=2\nPORT=9001\nDEFAULT_TIME_ZONE=Europe/Lisbon\nEDITOR=vi\n")
    environment(WORKERS="3", PORT="9002")

    settings = load_settings(WORKERS=4, PORT=None)

    assert (settings.WORKERS, settings.PORT, settings.DEFAULT_TIME_ZONE) == (4, 9002, "Europe/Lisbon")


def test_the_example_file_names_every_setting_and_explains_each():
    lines = EXAMPLE.read_text().splitlines()
    at = {match[1]: number for number, line in enumerate(lines) if (match := re.match(r"(?:# )?([A-Z_]+)=", line))}

    assert at.keys() == Settings.model_fields.keys()
    assert all(re.match(r"# .+[.\w]", lines[number - 1]) for number in at.values())


def test_the_example_file_gives_the_defaults_so_a_copy_of_it_changes_nothing():
    defaults = load_settings()
    shutil.copy(EXAMPLE, ".env")

    assert load_settings() == defaults
    assert dotenv_values(".env").keys() == Settings.model_fields.keys() - OPTIONAL


def test_no_secret_of_the_example_file_can_ever_protect_a_service(environment):
    Path(".env").write_text(EXAMPLE.read_text().replace("# SECRET_KEY=", "SECRET_KEY="))

    with pytest.raises(InvalidSettings, match="SECRET_KEY is a published example"):
        load_settings()

    environment(SECRET_KEY=OWN_KEY, ENVIRONMENT="production")
    with pytest.raises(InvalidSettings, match="FIRST_ADMIN_PASSWORD is the published default"):
        load_settings()
