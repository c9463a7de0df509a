"""A user and a project that many tests of services start from."""

import pytest


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def website(people):
    return people.project("Website")
