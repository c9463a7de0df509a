"""One normalized text per IP address, and one rate limit key per customer."""

import pytest
from starlette.requests import Request

from app.api.dependencies.parameters import client_address
from app.core.server.ip_addresses import UNKNOWN, normalize_address, rate_limit_key

NO_ADDRESSES = [
    "",
    "unknown",
    "_hidden",
    "localhost",
    "10.0.0.5:8080",
    "[2001:db8::1]",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.5",
    "10.0.0.5/32",
    " 10.0.0.5",
    "10.0.0.5\r\nX-Evil: 1",
    "\u0661.1.1.1",
    "' OR 1=1 --",
    "1" * 100_000,
]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::0001", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        (f"fe80::1%{'x' * 10_000}", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_an_address_has_one_text_however_it_was_written(written, plain):
    assert normalize_address(written) == plain


@pytest.mark.parametrize("text", NO_ADDRESSES, ids=lambda text: repr(text)[:20])
def test_what_is_no_address_does_not_get_through_as_one(text):
    assert normalize_address(text) == rate_limit_key(text) == UNKNOWN


def test_the_longest_address_has_39_characters():
    assert len(normalize_address("ffff:" * 7 + "ffff")) == 39


def test_an_ipv4_address_is_limited_by_itself():
    assert rate_limit_key("203.0.113.7") == rate_limit_key("::ffff:203.0.113.7") == "203.0.113.7"
    assert rate_limit_key("203.0.113.8") != rate_limit_key("203.0.113.7")


def test_all_addresses_of_a_64_are_limited_as_one():
    assert (
        rate_limit_key("2001:db8:0:7::1") == rate_limit_key("2001:db8:0:7:ffff:ffff:ffff:ffff") == "2001:db8:0:7::/64"
    )
    assert rate_limit_key("2001:db8:0:8::1") == "2001:db8:0:8::/64"
    assert rate_limit_key("fe80::1%eth0") == "fe80::/64"


@pytest.mark.parametrize("client", [None, ("", 0), ("/run/ett.sock", 0)])
def test_a_caller_on_a_unix_socket_has_no_address(client):
    assert client_address(Request({"type": "http", "client": client})) == UNKNOWN
