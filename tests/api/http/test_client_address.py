"""The client's address is the peer's, or behind trusted proxies the one that they forward (threats 13).

The tests play the proxy on 127.0.0.1 and send its headers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.api.dependencies.parameters import ClientDep
from tests.support.databases import settings_for
from tests.support.in_process_server import run_server

LOOPBACK = "127.0.0.1"
ANA, BOB = "203.0.113.7", "2001:db8::b0b"
AddressWith = Callable[..., str]


async def client_address(client: ClientDep) -> str:
    return client.address


@contextmanager
def behind(*proxies: str) -> Iterator[AddressWith]:
    """Run an exposed service with these TRUSTED_PROXIES. Yield a function that returns the address it sees."""
    with run_server(settings_for("sqlite:///unused.db", HOST="0.0.0.0", TRUSTED_PROXIES=list(proxies))) as server:
        server.app.add_api_route("/address", client_address)
        with httpx.Client(base_url=server.base_url) as client:

            def address_with(*forwarded: str) -> str:
                headers = [("X-Forwarded-For", value) for value in forwarded]
                return str(client.get("/address", headers=headers).raise_for_status().json())

            yield address_with


def test_without_trusted_proxies_a_callers_own_header_says_nothing():
    with behind() as address_with:
        assert address_with() == LOOPBACK
        assert address_with(ANA) == LOOPBACK
        assert address_with(ANA, LOOPBACK) == LOOPBACK


def test_from_a_peer_that_is_not_trusted_the_header_says_nothing():
    with behind("10.0.0.0/8", "127.0.0.2", "::1") as address_with:
        assert address_with(ANA) == LOOPBACK
        assert address_with(f"{ANA}, 10.0.0.5") == LOOPBACK


@pytest.mark.parametrize("proxy", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1/32"])
def test_behind_a_trusted_proxy_a_caller_is_whom_the_proxy_saw(proxy):
    with behind(proxy) as address_with:
        assert address_with(ANA) == ANA
        assert address_with(BOB) == BOB
        assert address_with(f"::ffff:{ANA}") == ANA
        assert address_with(f"{ANA}:50123") == ANA
        assert address_with(f"[{BOB}]:50123") == BOB
        assert address_with() == LOOPBACK


def test_behind_two_proxies_a_caller_is_whom_the_outer_one_saw():
    with behind("127.0.0.1", "10.0.0.0/8", "fd00:1::/64") as address_with:
        assert address_with(f"{ANA}, 10.0.0.5") == ANA
        assert address_with(ANA, "10.0.0.5") == ANA
        assert address_with(f"{ANA}, fd00:1::5") == ANA
        assert address_with(f"{ANA}, ::ffff:10.0.0.5") == ANA
        assert address_with(f"{BOB}, {ANA}, 10.0.0.5") == ANA
        assert address_with(f"{ANA}, 192.0.2.1") == "192.0.2.1", "a proxy that isn't trusted is a caller"


@pytest.mark.parametrize("chain", [ANA, f"{ANA}, 10.0.0.5"])
def test_no_header_that_a_caller_makes_up_changes_their_address(chain):
    """A proxy appends the peer's address to the header that it received."""
    claims = [*(f"198.51.100.{number}" for number in range(20)), BOB, "10.0.0.9", LOOPBACK, "", ",,,", "nonsense", "*"]
    with behind("127.0.0.1", "10.0.0.0/8") as address_with:
        for claim in claims:
            assert address_with(f"{claim}, {chain}") == ANA, claim
            assert address_with(claim, chain) == ANA, claim


def test_what_a_proxy_forwards_and_is_no_address_is_nobodys():
    with behind("127.0.0.1") as address_with:
        for nonsense in (
            "nonsense",
            "unknown",
            "_hidden",
            f"{ANA}; drop table",
            "1" * 5_000,
            "fe80",
            "::ffff:999.1.1.1",
        ):
            assert address_with(nonsense) == "unknown", nonsense
        assert address_with(f"fe80::1%{'x' * 5_000}") == "fe80::1"


def test_where_all_are_trusted_proxies_the_first_of_them_called():
    with behind("127.0.0.1", "10.0.0.0/8") as address_with:
        assert address_with("10.0.0.9, 10.0.0.5") == "10.0.0.9"


def test_a_header_that_is_no_list_changes_nothing():
    with behind("127.0.0.1") as address_with:
        assert address_with("") == LOOPBACK
