"""Fixtures of the deployment's tests: those of real processes."""

from tests.faults.conftest import bearer

__all__ = ["bearer"]
