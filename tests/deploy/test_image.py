"""The image and compose.yaml, as far as they can be tested without a container.

The copied files run from a read-only folder. The services are hardened and contain no secrets.
"""

import re
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from app import __version__
from app.core.config.settings import InvalidSettings, load_settings
from tests.support.server_process import ROOT, Backend

BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILES = ["Dockerfile", "deploy/compose/pgbouncer/Dockerfile"]
SECRETS = {
    "SECRET_KEY",
    "AUDIT_KEY",
    "TOTP_KEY",
    "METRICS_TOKEN",
    "FIRST_ADMIN_PASSWORD",
    "DATABASE_PASSWORD",
    "DATABASE_ADMIN_PASSWORD",
}


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_dockerfiles_are_as_hadolint_wants_them(dockerfile):
    result = subprocess.run([BIN / "hadolint", ROOT / dockerfile], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, "")


def test_the_image_names_no_registry_and_runs_as_nobody_in_particular():
    for dockerfile in DOCKERFILES:
        instructions = (ROOT / dockerfile).read_text()
        users = re.findall(r"^USER (\S+)$", instructions, re.MULTILINE)
        images = re.findall(r"^(?:FROM|ARG PYTHON=)\s*([^\s$]\S*)", instructions, re.MULTILINE)

        assert users, dockerfile
        assert int(users[-1].partition(":")[0]) > 1000
        assert all("." not in image.partition("/")[0].partition(":")[0] for image in images)


def test_what_the_image_copies_is_all_that_it_needs_and_nothing_is_written_beside_it(tmp_path):
    """Run in a folder with the copied files only, and with a separate working directory."""
    image, data = tmp_path / "srv", tmp_path / "data"
    data.mkdir()
    for name in _copied_paths():
        target = image / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    _compile(image)
    before = _content(image)

    own = {"PYTHONPATH": str(image), "TMPDIR": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
    backend = Backend("sqlite:///./time_tracking.db", data, root=image, **own)
    arguments = [sys.executable, image / "check_backend.py", "--url", backend.base_url]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, env={})
    backend.stop()

    assert result.stdout.startswith(f"Backend is running! version {__version__}, database sqlite"), result.stderr
    assert _content(image) == before
    assert (data / "time_tracking.db").exists()


def test_compose_is_what_the_specification_allows_and_its_linter_finds_nothing_grave():
    PyCompose.from_yaml(_fill_in_variables(yaml.safe_dump(COMPOSE, width=1000))).validate()
    result = subprocess.run(
        [BIN / "compose-lint", "--fail-on", "high", ROOT / "compose.yaml"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_hardened_bounded_and_watched(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.keys() >= {"mem_limit", "cpus", "pids_limit", "restart", "networks", "logging"}
    assert "build" in service or re.fullmatch(r"[a-z]+(/[a-z]+)?:v?[\d.]+", service["image"])
    if name in {"migrate", "backup"}:
        assert service["restart"] == "no"
    elif name != "api":  # whose image defines a health check
        assert service["healthcheck"]["test"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_compose_asks_for_every_secret_and_has_none():
    compose = (ROOT / "compose.yaml").read_text()
    required_names = set(re.findall(r"\$\{(\w+):\?[^}]+\}", compose))

    assert required_names >= SECRETS
    assert not re.search(rf"\$\{{({'|'.join(SECRETS)}):?-", compose)


def test_compose_builds_this_version():
    assert set(re.findall(r"\$\{VERSION:-([^}]+)\}", (ROOT / "compose.yaml").read_text())) == {__version__}


def test_the_service_waits_for_its_migration_which_goes_straight_to_postgresql():
    api, migrate = SERVICES["api"], SERVICES["migrate"]

    assert api["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert "@pgbouncer:6432/" in api["environment"]["DB_URL"]
    assert "@database:5432/" in migrate["environment"]["DB_URL"]
    assert migrate["command"] == ["python", "-m", "app.cli", "migrate"]
    assert COMPOSE["networks"]["data"] == {"internal": True}


def test_a_backup_is_taken_by_a_client_of_the_servers_version_straight_from_postgresql():
    backup, stages = SERVICES["backup"], (ROOT / "Dockerfile").read_text()
    major = SERVICES["database"]["image"].removeprefix("postgres:")

    assert backup["build"]["target"] == "backup"
    assert f" postgresql-client-{major} " in stages.partition(" AS backup\n")[2]
    assert "@database:5432/" in backup["environment"]["DB_URL"]
    assert backup["volumes"] == ["backups:/backups"]
    assert backup["profiles"] == ["backup"]
    assert backup["command"][-1] == "exec python -m app.cli backup --force /backups/$$(date +%F).backup"


def test_what_is_built_where_no_stage_is_named_is_the_service():
    assert re.findall(r"^FROM .+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1] == "FROM service"
    assert SERVICES["api"]["build"]["target"] == "service"


def test_the_service_trusts_the_address_that_the_hosts_proxy_has_in_its_network():
    (network,) = COMPOSE["networks"]["front"]["ipam"]["config"]

    assert SERVICES["api"]["environment"]["TRUSTED_PROXIES"] == f'["{network["gateway"]}"]'
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])


def test_the_services_containers_have_no_way_to_be_postgresqls_superuser():
    database = SERVICES["database"]

    assert "POSTGRES_USER" not in database["environment"]
    assert "DATABASE_ADMIN_PASSWORD" in database["environment"]["POSTGRES_PASSWORD"]
    assert "./deploy/compose/database/ett.sql:/docker-entrypoint-initdb.d/ett.sql:ro" in database["volumes"]
    for name in SERVICES.keys() - {"database"}:
        assert "DATABASE_ADMIN_PASSWORD" not in str(SERVICES[name])


def test_the_settings_that_compose_gives_are_those_of_production(monkeypatch):
    """The settings are accepted with all secrets set, and rejected if one is empty or has its example value."""
    for name, value in SERVICES["api"]["environment"].items():
        monkeypatch.setenv(name, _fill_in_variables(str(value)))
    assert load_settings(_env_file=None).ENVIRONMENT == "production"

    for name in ("SECRET_KEY", "FIRST_ADMIN_PASSWORD"):
        with monkeypatch.context() as once, pytest.raises(InvalidSettings, match=name):
            once.delenv(name)
            load_settings(_env_file=None, HOST="0.0.0.0")


def _fill_in_variables(compose: str) -> str:
    """Return compose.yaml with all required variables filled in, as compose does from .env."""
    given = {"WORKERS": "2", "FIRST_ADMIN_EMAIL": "ada@example.com", "VERSION": __version__}
    secret = "Zk3vQ9-rT7wX1-mB5nL8-pD2"
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: given.get(found[1], f"{found[1].lower()}-{secret}"), compose)


def _copied_paths() -> list[str]:
    """Return the paths that the Dockerfile copies from the repository into /srv."""
    lines = re.findall(r"^COPY (?!--from)(.+) /srv\S*$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in lines for name in line.split()]
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(names) < set(allowed)
    return names


def _compile(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)


def _content(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}
