"""The company of most API tests: Mia manages Ana, Bob is in no team, Ada is an admin."""

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
def admin(ada, as_user):
    """Return a client logged in as Ada."""
    return as_user(ada)


@pytest.fixture
def website(people):
    return people.project("Website")


VISIBLE_TO = {
    "Ana": {"Ana"},
    "Mia": {"Mia", "Bo", "Ana", "Eve"},
    "Bo": {"Bo", "Eve"},
    "Max": {"Max", "Bob"},
    "Ada": {"Mia", "Ada", "Bo", "Max", "Ana", "Eve", "Bob"},
}
"""The users that each member of `staff` may see."""


@pytest.fixture
def staff(people, mia, ada):
    """Create a company: Mia manages Bo and Ana, Bo manages Eve, Max manages Bob; Ada is an admin."""
    bo, max_ = people.manager("Bo", manager=mia), people.manager("Max")
    users = {"Mia": mia, "Ada": ada, "Bo": bo, "Max": max_}
    for name, manager in (("Ana", mia), ("Eve", bo), ("Bob", max_)):
        users[name] = people.employee(name, manager=manager)
    return users
