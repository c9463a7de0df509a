"""A service on the defaults of development serves this machine only, because its first admin's password is public.

Threats 16.
"""

import asyncio

import httpx
import pytest

from app.main import create_app
from tests.support.databases import settings_for

PATHS = ("/", "/docs", "/openapi.json", "/metrics", "/health/live", "/api/v1/auth/login")
LOCAL_HOSTS = ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000", "testserver"]
OTHER_HOSTS = [
    "evil.example.com",
    "localhost.evil.example.com",
    "127.0.0.1.evil.example.com:8000",
    "evil.example.com@localhost",
    "192.0.2.7",
    "[2001:db8::7]:8000",
    "",
]
PROXY_HEADERS = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-Host", "time.example.com"),
    ("X-Forwarded-Proto", "https"),
    ("X-Real-IP", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7"),
    ("Via", "1.1 proxy.example.com"),
]


def get(path="/", address="http://127.0.0.1", client=("127.0.0.1", 50000), headers=None, **settings):
    """Call a service without a database as a client at this address does, and return the response."""
    app = create_app(settings_for("sqlite:///unused.db", **settings))

    async def call():
        transport = httpx.ASGITransport(app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=address) as caller:
            return await caller.get(path, headers=headers)

    return asyncio.run(call())


def assert_refused(answer, setting):
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (421, "host_not_allowed")
    assert f"Set {setting}" in problem["detail"]


@pytest.mark.parametrize("host", LOCAL_HOSTS)
def test_a_developer_reaches_it_by_every_name_of_this_machine(host):
    assert get(headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_a_page_that_points_its_own_name_at_this_machine_reads_nothing(host):
    """DNS rebinding: the browser takes the page and this service for one origin."""
    for path in PATHS:
        assert_refused(get(path, headers={"Host": host}), "TRUSTED_HOSTS")


def test_a_page_with_a_name_of_its_own_reads_no_metrics_where_only_local_hosts_are_named():
    for path in ("/metrics", "/health/live"):
        refused = get(path, headers={"Host": "evil.example.com"}, TRUSTED_HOSTS=["localhost"])
        assert_refused(refused, "TRUSTED_HOSTS")
        assert get(path, TRUSTED_HOSTS=["localhost"]).status_code != 421


def test_where_hosts_are_named_no_other_counts():
    assert get(address="http://localhost", TRUSTED_HOSTS=["localhost"]).status_code == 200
    assert get(address="http://127.0.0.1", TRUSTED_HOSTS=["localhost"]).status_code == 421
    assert get(address="http://testserver", TRUSTED_HOSTS=["time.example.com"]).status_code == 421
    assert get(address="http://time.example.com", TRUSTED_HOSTS=["time.example.com"]).status_code == 200


@pytest.mark.parametrize("header", PROXY_HEADERS, ids=" ".join)
def test_a_request_that_a_proxy_forwarded_gets_the_setting_to_change(header):
    for path in PATHS:
        assert_refused(get(path, headers=dict([header])), "TRUSTED_PROXIES")

    assert get(headers=dict([header]), HOST="0.0.0.0").status_code == 200
    assert get(headers=dict([header]), TRUSTED_PROXIES=["10.0.0.5"]).status_code == 200


@pytest.mark.parametrize(
    ("host", "address", "status"),
    [
        ("127.0.0.1", "http://127.0.0.1", 200),
        ("127.0.0.1", "http://[::1]", 200),
        ("127.0.0.1", "http://testserver", 200),
        ("127.0.0.1", "http://192.0.2.7", 421),
        ("127.0.0.1", "http://[2001:db8::7]", 421),
        ("0.0.0.0", "http://192.0.2.7", 200),
    ],
)
def test_a_service_set_up_for_its_own_machine_answers_nobody_at_a_network_address(host, address, status):
    """`uvicorn app.main:app --host 0.0.0.0` does not read HOST, so the default password was not rejected at startup."""
    answer = get(address=address, HOST=host)

    assert answer.status_code == status
    assert answer.json().get("code", "") == ("host_not_allowed" if status == 421 else "")


@pytest.mark.parametrize("client", ["192.0.2.9", "2001:db8::9", "::ffff:192.0.2.9"])
def test_a_client_on_another_machine_is_refused_even_at_a_loopback_address(client):
    """A firewall rule can send its packets to a loopback address."""
    assert_refused(get(client=(client, 50000)), "HOST")
    assert get(client=(client, 50000), HOST="0.0.0.0").status_code == 200
