"""The people whom most tests of the API are about: Mia manages Ana, Bob is in no team, Ada is an admin."""

import pytest


@pytest.fixture
def mia(people):
    return people.manager("Mia")


@pytest.fixture
def ana(people, mia):
    return people.employee("Ana", manager=mia)


@pytest.fixture
def bob(people):
    return people.employee("Bob")


@pytest.fixture
def ada(people):
    return people.admin("Ada")


@pytest.fixture
def website(people):
    return people.project("Website")
