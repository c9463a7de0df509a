"""Below a path of a proxy, all URLs that the service returns contain the path (rules: The API).

The tests play the proxy on 127.0.0.1, which removes the path. tests/faults/test_nginx.py has a real one.
"""

from contextlib import contextmanager
from itertools import count

import pytest

from tests.support.databases import POSTGRESQL, fresh_database, settings_for
from tests.support.factories import Company
from tests.support.in_process_server import run_server

TRUSTED = {"TRUSTED_PROXIES": ["127.0.0.1"]}
NUMBERS = count()


@contextmanager
def caller_of(db_url, **settings):
    """Run a service with documentation and three projects. Yield a client that is logged in as an admin."""
    with run_server(settings_for(db_url, DOCS=True, HOST="0.0.0.0", **settings)) as server:
        company = Company(server.database)
        for name in ("Website", "Intranet", "Training"):
            company.project(name)
        with server.caller(server.token(company.admin("Ada"))) as caller:
            yield caller


def urls(caller, **headers):
    """Return the URLs of a response of each kind."""
    page = caller.get("/admin/projects", params={"limit": 1}, headers=headers)
    created = caller.post("/admin/projects", json={"name": f"Project {next(NUMBERS)}"}, headers=headers)
    document = caller.at_root("GET", "/openapi.json", headers=headers).json()
    return [
        page.links["next"]["url"].partition("?")[0],
        created.headers["Location"].rpartition("/")[0],
        document["servers"][0]["url"],
        document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]["tokenUrl"],
        caller.get("/nowhere", headers=headers).json()["instance"],
    ]


def urls_below(prefix):
    projects = f"{prefix}/api/v1/admin/projects"
    return [projects, projects, prefix or "/", f"{prefix}/api/v1/auth/login", f"{prefix}/api/v1/nowhere"]


def test_without_a_proxy_urls_begin_at_the_root(db_url):
    with caller_of(db_url) as caller:
        assert urls(caller) == urls_below("")


@pytest.mark.parametrize("setting", ["/zeit", "/zeit/"])
def test_the_setting_names_the_path(db_url, setting):
    with caller_of(db_url, ROOT_PATH=setting) as caller:
        assert urls(caller) == urls_below("/zeit")


def test_a_path_that_is_also_one_of_ours_changes_no_route(db_url):
    with caller_of(db_url, ROOT_PATH="/api") as caller:
        assert urls(caller) == urls_below("/api")


def test_a_trusted_proxy_names_the_path_and_takes_precedence(db_url):
    with caller_of(db_url, ROOT_PATH="/other", **TRUSTED) as caller:
        assert urls(caller, **{"X-Forwarded-Prefix": "/hr/zeit/"}) == urls_below("/hr/zeit")
        assert urls(caller) == urls_below("/other")


def test_nobody_else_can_name_a_path(db_url):
    with caller_of(db_url, TRUSTED_PROXIES=["10.0.0.5"]) as caller:
        assert urls(caller, **{"X-Forwarded-Prefix": "/evil"}) == urls_below("")


@pytest.fixture(scope="module")
def behind_a_proxy(shared_folder, postgresql_server, templates):
    """A client of one service for all prefixes below, because each service builds its own document."""
    with (
        fresh_database(POSTGRESQL, shared_folder, postgresql_server, templates) as url,
        caller_of(url, **TRUSTED) as caller,
    ):
        yield caller


@pytest.mark.parametrize(
    "prefix",
    ["zeit", "//evil.example", "/a//b", "/../b", "https://evil.example", "/a b", "/a, /b", "/" + "a" * 300, "/ä"],
)
def test_a_prefix_that_is_no_path_is_ignored(behind_a_proxy, prefix):
    assert urls(behind_a_proxy, **{"X-Forwarded-Prefix": prefix.encode()}) == urls_below("")
