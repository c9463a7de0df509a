"""The service behind nginx with the shipped configuration: forwarded requests, limits, and client addresses (F13)."""

import csv
import json
import re
import socket
import socketserver
import threading
from contextlib import contextmanager
from typing import ClassVar

import httpx
import pytest

from tests.faults.nginx import HOST, run_nginx
from tests.support.databases import POSTGRESQL
from tests.support.factories import PASSWORD
from tests.support.server_process import Backend, free_port

pytestmark = pytest.mark.system

ANA, FORGED = "127.0.0.9", "203.0.113.7"
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
TLS_ONLY = "max-age=31536000"
ONCE = ("Strict-Transport-Security", "X-Content-Type-Options", "Content-Security-Policy", "Cache-Control", "Date")
MIB = 1024 * 1024


@contextmanager
def client_from(nginx, address="127.0.0.1"):
    """Return a client that connects from this address of the machine."""
    with httpx.Client(
        base_url=nginx.base_url,
        transport=httpx.HTTPTransport(verify=nginx.ssl_context, local_address=address),
        timeout=30,
    ) as client:
        yield client


@pytest.fixture
def backend(db_url, tmp_path):
    """Run the service in production mode, for this host and behind the proxy of this machine."""
    own = {"ENVIRONMENT": "production", "FIRST_ADMIN_PASSWORD": PASSWORD, "FIRST_ADMIN_EMAIL": "ada@example.com"}
    running_backend = Backend(db_url, tmp_path, TRUSTED_PROXIES='["127.0.0.1"]', TRUSTED_HOSTS=f'["{HOST}"]', **own)
    yield running_backend
    running_backend.stop()


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_the_shipped_nginx_passes_on_what_it_should_and_nothing_else(people, database, backend):
    mia, website = people.manager("Mia"), people.project("Website")
    people.entry(people.employee("Ana", manager=mia), website, "2026-03-02 08:00", "2026-03-02 12:00")
    shorter = {"client_header_timeout 10s;": "client_header_timeout 1s;"}
    with run_nginx(backend.base_url.removeprefix("http://"), **shorter) as nginx, client_from(nginx, ANA) as client:
        config_check = nginx.check()
        assert "syntax is ok" in config_check
        assert "warn" not in config_check

        _check_login_and_export(client, mia, backend)
        _check_internal_paths_are_hidden(client, nginx)
        _check_body_limits(client)
        _check_slow_header_is_closed(nginx)


def _check_login_and_export(client, mia, backend):
    claimed = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}
    login = client.post(
        "/api/v1/auth/login",
        data={"username": mia.email, "password": PASSWORD},
        headers=claimed | {"X-Request-ID": "of-mias-phone"},
    )
    client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
    (session,) = client.get("/api/v1/auth/sessions").json()
    export = client.get("/api/v1/reports/export/csv", params=MARCH)

    assert session["address"] == ANA, "the address is that of the connection, not of a header"
    assert login.headers["X-Request-ID"] == "of-mias-phone"
    assert [row["employee_name"] for row in csv.DictReader(export.text.splitlines())] == ["Ana Silva"]
    for answer in (login, export, client.get("/nowhere")):
        assert [len(answer.headers.get_list(name)) for name in ONCE] == [1] * len(ONCE)
        assert answer.headers["Strict-Transport-Security"] == TLS_ONLY
        assert "Content-Encoding" not in answer.headers
    logged = [json.loads(line) for line in backend.log.read_text().splitlines() if "of-mias-phone" in line]
    assert {line["address"] for line in logged} == {ANA}


def _check_internal_paths_are_hidden(client, nginx):
    for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/%2e/metrics", "/health/%2e%2e/metrics"):
        rejected = client.get(f"{nginx.base_url}{path}")
        assert (rejected.status_code, rejected.headers["Content-Type"]) == (404, "text/html"), path
    assert client.get("/docs").json()["code"] == "route_not_found"
    assert client.get("/", headers={"Host": "evil.example.com"}).status_code == 421
    plain = f"http://{HOST}:{nginx.plain_port}"
    page, program = httpx.get(f"{plain}/docs?a=1"), httpx.post(f"{plain}/api/v1/auth/login", data={"username": "mia"})
    assert (page.status_code, page.headers["Location"]) == (301, f"https://{HOST}/docs?a=1")
    assert (program.status_code, program.json()["code"]) == (403, "https_required")


def _check_body_limits(client):
    large, form = b"x" * (MIB + 1), {"Content-Type": "application/x-www-form-urlencoded"}
    rejected = client.post("/api/v1/auth/login", content=large, headers=form)
    taken = client.post(
        "/api/v1/time-entries/clock-in", content=large[1:], headers={"Content-Type": "application/json"}
    )
    imported = client.post("/api/v1/admin/users/import", content=large, headers={"Content-Type": "text/csv"})

    assert (rejected.status_code, rejected.json()["code"]) == (413, "body_too_large")
    assert taken.status_code == 422
    assert imported.json()["code"] == "role_required"


def _check_slow_header_is_closed(nginx):
    with (
        socket.create_connection((HOST, nginx.tls_port), timeout=30) as connection,
        nginx.ssl_context.wrap_socket(connection, server_hostname=HOST) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert client.recv(1) == b""


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_below_a_path_of_nginx_the_documentation_can_log_in_and_every_link_leads_on(people, db_url, tmp_path):
    ada, below_a_path = people.admin("Ada"), "location /zeit/ {\n        proxy_pass http://employee_time_tracking/;"
    for number in range(3):
        people.project(f"Project {number}")
    changes = {
        "location / {\n        proxy_pass http://employee_time_tracking;": below_a_path,
        'X-Forwarded-Prefix ""': 'X-Forwarded-Prefix "/zeit"',
    }
    settings = {"TRUSTED_PROXIES": '["127.0.0.1"]', "DOCS": "true"}
    backend = Backend(db_url, tmp_path, **settings, FIRST_ADMIN_PASSWORD=PASSWORD)
    try:
        with run_nginx(backend.base_url.removeprefix("http://"), **changes) as nginx, client_from(nginx) as client:
            page = client.get("/zeit/docs")
            document_url = page.url.join(re.search(r"url: '([^']+)'", page.text)[1])
            document = client.get(document_url).json()
            flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
            login = client.post(document_url.join(flow["tokenUrl"]), data={"username": ada.email, "password": PASSWORD})
            client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            api = f"{document['servers'][0]['url']}/api/v1"
            first = client.get(f"{api}/admin/projects", params={"limit": 2})
            second = client.get(first.links["next"]["url"])
            created = client.post(f"{api}/admin/projects", json={"name": "Website"})
            found = client.get(created.headers["Location"])
    finally:
        backend.stop()

    assert [len(first.json()), len(second.json())] == [2, 1]
    assert (created.status_code, found.json()) == (201, created.json())


def test_nginx_alone_says_in_our_words_that_nobody_answers_and_that_it_was_too_much():
    fewer = {"burst=500 nodelay": "burst=2 nodelay", "rate=50r/s": "rate=1r/m"}
    with run_nginx(f"127.0.0.1:{free_port()}", **fewer) as nginx, client_from(nginx) as client:
        answers = [client.get("/api/v1/auth/me", headers={"X-Request-ID": "mine"}) for _ in range(4)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        *[(503, "service_unreachable")] * 3,
        (429, "too_many_requests"),
    ]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"]
        assert answer.headers["Strict-Transport-Security"] == TLS_ONLY
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["request_id"] == "mine"


def test_a_customer_with_a_whole_ipv6_network_has_the_limits_of_one_address():
    """The bytes of a network may be line feeds (0a) or nulls. The real-IP module sets the address of each request."""
    smaller = {
        "burst=500 nodelay": "burst=1 nodelay",
        "rate=50r/s": "rate=1r/m",
        "limit_req_status 429;": "limit_req_status 429; set_real_ip_from 127.0.0.1; real_ip_header X-Address;",
    }
    same_network = ["2001:db8:a0a:a0a::1", "2001:db8:a0a:a0a:a0a:a0a:a0a:a0a", "2001:db8:a0a:a0a:ffff::"]
    others = ["2001:db8:a0a:a0b::1", "192.0.2.1", "192.0.2.2"]
    with run_nginx(f"127.0.0.1:{free_port()}", **smaller) as nginx, client_from(nginx) as client:
        answers = [client.get("/", headers={"X-Address": address}) for address in same_network + others]

    assert [answer.status_code for answer in answers] == [503, 503, 429, 503, 503, 503]


class _ClosingHandler(socketserver.BaseRequestHandler):
    """Read a request and close the connection without a response."""

    received_methods: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        self.received_methods.append(self.request.recv(65536).split(b" ")[0])


def test_what_may_have_been_done_is_not_sent_again_and_what_reached_nobody_is():
    """Use two upstreams in both orders. One refuses connections, the other closes them after the request."""
    with socketserver.TCPServer(("127.0.0.1", 0), _ClosingHandler) as breaking:
        threading.Thread(target=breaking.serve_forever).start()
        there = f"127.0.0.1:{breaking.server_address[1]} max_fails=0"
        try:
            for machines in (f"127.0.0.1:{free_port()}; server {there}", f"{there}; server {there}"):
                _ClosingHandler.received_methods.clear()
                with run_nginx(machines) as nginx, client_from(nginx) as client:
                    for method in ("POST", "PATCH"):
                        assert client.request(method, "/api/v1/auth/me", json={}).status_code == 503
                assert _ClosingHandler.received_methods == [b"POST", b"PATCH"], machines
        finally:
            breaking.shutdown()
