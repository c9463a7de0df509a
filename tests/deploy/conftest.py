"""Fixtures of the deployment tests: the real processes of the fault tests."""

from tests.faults.conftest import bearer, own_db_url, own_postgresql

__all__ = ["bearer", "own_db_url", "own_postgresql"]
