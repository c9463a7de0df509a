"""Headers of responses: the URL of what was created (rules: The API)."""

from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from tests.support.factories import PASSWORD
from tests.support.times import two_hour_entry


def created_objects(website):
    """Return the path and body of each operation that creates an object with a URL of its own."""
    in_a_week = f"{utc_now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "/time-entries": two_hour_entry(website),
        "/admin/projects": {"name": "Intranet"},
        "/admin/users": {
            "email": "nora@example.com",
            "first_name": "Nora",
            "last_name": "Neu",
            "role": "employee",
            "password": PASSWORD,
        },
        "/auth/api-tokens": {"name": "Gate", "scopes": ["entries:read"], "expires_at": in_a_week},
    }


@pytest.mark.parametrize("path", ["/time-entries", "/admin/projects", "/admin/users", "/auth/api-tokens"])
def test_what_was_created_is_found_at_its_location(admin, website, path):
    created = admin.post(path, json=created_objects(website)[path])
    found = admin.at_root("GET", created.headers["Location"])

    assert (created.status_code, found.status_code) == (201, 200)
    assert found.json()["id"] == created.json()["id"]


def test_a_password_link_names_its_user_because_nobody_can_read_it_again(admin, ana):
    created = admin.post(f"/admin/users/{ana.id}/password-link")
    user = admin.at_root("GET", created.headers["Location"])

    assert (created.status_code, user.json()["id"]) == (201, ana.id)


def test_an_operation_that_creates_nothing_has_no_location(admin, website):
    assert "Location" not in admin.clock_in(website.id).headers
