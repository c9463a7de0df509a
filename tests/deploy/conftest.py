"""Fixtures of the deployment's tests: those of real processes."""

from tests.faults.conftest import bearer, own_db_url, own_postgresql

__all__ = ["bearer", "own_db_url", "own_postgresql"]
