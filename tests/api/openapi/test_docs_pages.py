"""The page /docs: what Swagger UI keeps of a login in the browser."""

import json
import subprocess

import pytest

from app.api.openapi.docs_pages import SESSION_STORAGE_SCRIPT
from tests.support.factories import PASSWORD
from tests.support.system_packages import find_program

LOGIN = {
    "OAuth2PasswordBearer": {
        "schema": {"flow": "password", "tokenUrl": "/api/v1/auth/login"},
        "username": "ana@example.com",
        "password": PASSWORD,
        "clientSecret": "hidden",
        "token": {"access_token": "eyJ...", "expires_in": 1800, "refresh_token": "ettr_..."},
    }
}
BROWSER = """
const stored = {};
globalThis.window = globalThis;
globalThis.sessionStorage = { getItem: (key) => stored[key], setItem: (key, value) => { stored[key] = value; } };
"""


@pytest.mark.system
def test_a_reload_keeps_the_access_token_but_no_password_and_no_refresh_token():
    keep = f"localStorage.setItem('authorized', {json.dumps(json.dumps(LOGIN))}); console.log(stored.authorized);"
    script = BROWSER + SESSION_STORAGE_SCRIPT + keep
    result = subprocess.run([find_program("node"), "-e", script], capture_output=True, text=True, check=True)

    (stored_login,) = json.loads(result.stdout).values()

    assert stored_login["token"] == {"access_token": "eyJ...", "expires_in": 1800}
    assert stored_login["schema"] == LOGIN["OAuth2PasswordBearer"]["schema"]
    assert stored_login.keys() == {"schema", "username", "token"}


def test_the_page_runs_the_script_before_swagger_ui(anonymous):
    page = anonymous.at_root("GET", "/docs").text

    assert 0 < page.index(SESSION_STORAGE_SCRIPT) < page.index("swagger-ui-bundle.js")
    assert '"persistAuthorization": true' in page
