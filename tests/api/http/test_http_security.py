"""Security headers, host check, CORS and the documentation pages."""

import base64
import hashlib
import re
import socket
from contextlib import contextmanager

import httpx
import pytest

from tests.support.databases import settings_for
from tests.support.in_process_server import PROBLEM, openapi_document, run_server

NO_CONTENT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
PRODUCTION = {"ENVIRONMENT": "production", "FIRST_ADMIN_PASSWORD": "violet-harbour-42-lantern"}
PAGES = ("/docs", "/redoc", "/openapi.json", "/docs/swagger-ui-bundle.js")
OURS, THEIRS = "https://app.example.com", "https://evil.example.com"
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


@contextmanager
def service(**settings):
    """Yield a client of a service without a database, which these requests never reach."""
    with (
        run_server(settings_for("sqlite:///unused.db", **settings)) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        yield client


def send_raw(client, request):
    """Send these bytes and return everything received until the connection is closed."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_no_answer_is_framed_sniffed_kept_or_told_on(mia, as_user, anonymous):
    """A success, a rejection, a missing path, an oversized body, a file and an empty response have each header once."""
    me = as_user(mia)
    answers = [
        me.get("/auth/me"),
        me.get("/reports/export/csv", params=MARCH),
        me.get("/time-entries/current"),
        anonymous.get("/auth/me"),
        anonymous.get("/nowhere"),
        anonymous.post("/auth/login", content=b"x" * 2_000_000),
        anonymous.at_root("GET", "/"),
        anonymous.at_root("DELETE", "/health/live"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 204, 401, 404, 413, 200, 405]
    for answer in answers:
        for name, value in (EVERYWHERE | {"Content-Security-Policy": NO_CONTENT, "Cache-Control": "no-store"}).items():
            assert answer.headers.get_list(name) == [value], (answer.url, name)
        assert "Strict-Transport-Security" not in answer.headers


def test_an_answer_with_a_tag_is_kept_by_nobody_either(ada, ana, website, people, as_user):
    entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")

    answer = as_user(ada).get(f"/time-entries/{entry}")

    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_breaks_says_it_too():
    with run_server(settings_for("sqlite:///unused.db")) as server:

        async def fail() -> None:
            raise RuntimeError

        server.app.add_api_route("/broken", fail)
        answer = httpx.get(f"{server.base_url}/broken")

    assert answer.status_code == 500
    assert answer.headers["Content-Security-Policy"] == NO_CONTENT
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("settings", "scheme", "expected"),
    [
        ({**PRODUCTION, "TRUSTED_PROXIES": ["127.0.0.1"]}, "https", ["max-age=31536000"]),
        ({**PRODUCTION, "TRUSTED_PROXIES": ["127.0.0.1"]}, "http", []),
        ({**PRODUCTION, "TRUSTED_PROXIES": ["10.0.0.5"]}, "https", []),
        (PRODUCTION, "https", []),
        ({"TRUSTED_PROXIES": ["127.0.0.1"]}, "https", []),
    ],
    ids=["over TLS", "over plain HTTP", "from an untrusted proxy", "without trusted proxies", "in development"],
)
def test_a_browser_is_told_to_stay_on_tls_where_it_is_production_and_came_over_tls(settings, scheme, expected):
    with service(**settings) as client:
        for path in ("/", "/nowhere"):
            answer = client.get(path, headers={"X-Forwarded-Proto": scheme})

            assert answer.headers.get_list("Strict-Transport-Security") == expected


def test_where_hosts_are_named_a_request_for_another_is_refused_before_anything_is_read():
    with service(TRUSTED_HOSTS=["time.example.com", "[2001:db8::1]"], CORS_ORIGINS=[OURS]) as client:
        for host in ("time.example.com", "TIME.example.com", "time.example.com:8443", "[2001:DB8::1]:8000"):
            assert client.get("/", headers={"Host": host}).status_code == 200, host

        for host in ("evil.example.com", "127.0.0.1", "time.example.com.evil.com", "x@time.example.com", "", ":80"):
            for method, path in (("GET", "/"), ("POST", "/api/v1/auth/login"), ("GET", "/nowhere"), ("OPTIONS", "/")):
                request_headers = {"Host": host, "Content-Encoding": "gzip", "Origin": OURS}
                request_headers |= {"Access-Control-Request-Method": "GET"}
                answer = client.request(method, path, headers=request_headers)

                assert (answer.status_code, answer.headers["Content-Type"]) == (421, PROBLEM), (host, path)
                assert answer.json()["code"] == "host_not_allowed"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert host == "" or host not in answer.text


def test_a_request_that_names_two_hosts_is_for_neither():
    with service(TRUSTED_HOSTS=["time.example.com"]) as client:
        request_headers = (
            b"GET / HTTP/1.1\r\nHost: time.example.com\r\nHost: time.example.com\r\nConnection: close\r\n\r\n"
        )
        answer = send_raw(client, request_headers)

    assert answer.startswith(b"HTTP/1.1 421 ")


def test_a_supervisor_may_ask_by_any_address_how_a_machine_is():
    with service(TRUSTED_HOSTS=["time.example.com"]) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/live", headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_where_no_host_is_named_any_will_do_and_none_is_repeated(ada, people, db_url):
    for number in range(3):
        people.project(f"Website {number}")

    with run_server(settings_for(db_url, HOST="0.0.0.0")) as server, server.caller(server.token(ada)) as admin:
        answer = admin.get("/admin/projects", params={"limit": 1}, headers={"Host": "evil.example.com"})

    assert answer.headers["Link"].startswith("</api/v1/admin/projects?")
    assert "evil" not in f"{answer.headers} {answer.text}"


def test_a_page_of_an_allowed_origin_can_read_our_refusals():
    with service(CORS_ORIGINS=[OURS]) as client:
        refused = client.post("/api/v1/auth/login", content=b"x" * 2_000_000, headers={"Origin": OURS})

    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert refused.headers["Access-Control-Allow-Origin"] == OURS
    documented = openapi_document()["components"]["headers"].keys()
    readable = set(refused.headers["Access-Control-Expose-Headers"].split(", "))
    assert (
        readable
        >= {
            "Retry-After",
            "RateLimit",
            "ETag",
            "Link",
            "X-As-Of",
            "X-Request-ID",
            "Content-Disposition",
        }
        | documented
    )


@pytest.mark.parametrize("origin", [THEIRS, "null", "", f"{OURS}.evil.com", "http://app.example.com", f"{OURS}:8443"])
def test_no_other_page_can_read_anything(origin):
    request_headers = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Authorization"}
    with service(CORS_ORIGINS=[OURS]) as client:
        answers = [
            client.get("/", headers={"Origin": origin}),
            client.options("/api/v1/auth/me", headers={"Origin": origin} | request_headers),
        ]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert not any("Access-Control-Allow-Origin" in answer.headers for answer in answers)


def test_a_preflight_of_an_allowed_page_lists_what_it_may_send():
    request_headers = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,if-match",
    }
    with service(CORS_ORIGINS=[OURS]) as client:
        answer = client.options("/api/v1/time-entries/1", headers={"Origin": OURS} | request_headers)
        refused = client.options(
            "/", headers={"Origin": OURS} | request_headers | {"Access-Control-Request-Headers": "x-something"}
        )

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "If-Match", "Idempotency-Key"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-ID"]
    assert refused.status_code == 400


def test_no_cache_gives_one_origins_answer_to_another():
    with service(CORS_ORIGINS=[OURS]) as client:
        for headers in ({}, {"Origin": OURS}, {"Origin": THEIRS}):
            assert "Origin" in client.get("/", headers=headers).headers["Vary"], headers


def test_every_page_may_ask_where_all_are_allowed_but_none_with_credentials():
    with service(CORS_ORIGINS=["*"]) as client:
        answer = client.get("/", headers={"Origin": THEIRS})

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_without_origins_no_page_may_ask():
    with service() as client:
        assert "Access-Control-Allow-Origin" not in client.get("/", headers={"Origin": OURS}).headers


def test_the_pages_load_everything_from_us_and_their_policy_allows_nothing_else():
    with service() as client:
        for path in ("/docs", "/redoc"):
            page = client.get(path)
            loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"|url: \'([^\']+)\'', page.text)
            addresses = [first or second for first, second in loaded]
            (policy,) = page.headers.get_list("Content-Security-Policy")
            scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
            hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]

            assert page.status_code == 200
            assert "openapi.json" in addresses
            assert len(addresses) >= 3
            for address in addresses:
                assert client.get(f"/{address}").status_code == 200, address
            assert policy.startswith("default-src 'none'; ")
            assert re.findall(r"'sha256-([^']+)'", policy) == hashes
            assert "http" not in policy
            assert "'unsafe-inline'" not in re.findall(r"script-src [^;]+", policy)[0]
            assert "frame-ancestors 'none'" in policy
            for name, value in EVERYWHERE.items():
                assert page.headers.get_list(name) == [value]
        assert client.get("/openapi.json").json()["info"]["title"] == "Employee Time Tracking API"
        assert client.get("/docs/swagger-ui-bundle.js").headers["Content-Type"].startswith("text/javascript")
        assert client.get("/docs/favicon.png").headers["Content-Type"] == "image/png"


def test_in_production_the_pages_are_there_only_when_asked_for():
    with service(**PRODUCTION) as client:
        absent = [client.get(path) for path in PAGES]
    with service(**PRODUCTION, DOCS=True) as client:
        present = [client.get(path).status_code for path in PAGES]
    with service(DOCS=False) as client:
        unwanted = client.get("/docs").status_code

    assert [(answer.status_code, answer.json()["code"]) for answer in absent] == [(404, "route_not_found")] * len(PAGES)
    assert all("/docs" not in answer.json()["detail"] for answer in absent)
    assert present == [200] * len(PAGES)
    assert unwanted == 404


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "two lengths": "Content-Length: 0\r\nContent-Length: 34\r\n\r\n",
    "a list of lengths": "Content-Length: 0, 34\r\n\r\n",
    "a length and chunks": "Content-Length: 34\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks that aren't last": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an encoding that nobody knows": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a signed length": "Content-Length: +34\r\n\r\n",
    "a space before the colon": "Content-Length : 34\r\n\r\n",
    "a size that is no number": "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a bare line feed": "Content-Length: 0\n\n",
}


@pytest.mark.parametrize("framing", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_request_whose_end_can_be_read_in_two_ways_is_refused_with_all_behind_it(framing):
    with service() as client:
        answer = send_raw(client, f"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n{framing}{SMUGGLED}".encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
