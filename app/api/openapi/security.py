"""Security schemes of the OpenAPI document: a login, its access token, and API tokens with scopes."""

from typing import Any

from app.core.security.access_tokens import TokenScope

LOGIN_PATH = "/api/v1/auth/login"
# ruff's S105 takes the names of security schemes for passwords.
PASSWORD_SCHEME = "OAuth2PasswordBearer"  # noqa: S105
ACCESS_TOKEN_SCHEME = "AccessToken"  # noqa: S105
API_TOKEN_SCHEME = "ApiToken"  # noqa: S105
SCOPES = {
    TokenScope.entries_read: "Read entries, projects and the team.",
    TokenScope.entries_write: "Clock in and out, add, correct and delete entries.",
    TokenScope.reports_read: "Read reports and export hours.",
    TokenScope.admin: "Administer users and projects, and read the audit log.",
}
SECURITY_SCHEMES = {
    API_TOKEN_SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token that has one of the scopes under `OAuth2PasswordBearer` of the operation. It "
        "never exceeds the rights of its user's role.",
    },
    ACCESS_TOKEN_SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `access_token` of `POST /auth/login`. Use this scheme if you have a second factor.",
    },
}


def add_security(operation: dict[str, Any]) -> None:
    """List a login with each scope, its access token, and if there are scopes an API token as alternatives.

    FastAPI lists all scopes under one requirement, which means that a token must have every one of them. Only OAuth2
    schemes can name scopes. An operation without a caller has an empty list.
    """
    alternatives: list[dict[str, list[str]]] = []
    for requirement in operation.get("security", []):
        scopes = requirement[PASSWORD_SCHEME]
        alternatives = [{PASSWORD_SCHEME: [scope]} for scope in scopes] or [{PASSWORD_SCHEME: []}]
        alternatives.append({ACCESS_TOKEN_SCHEME: []})
        if scopes:
            alternatives.append({API_TOKEN_SCHEME: []})
    operation["security"] = alternatives


def document_below(prefix: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document for clients that reach the API below this path. Its URLs name no host."""
    schemes = document["components"]["securitySchemes"]
    flow = {"tokenUrl": f"{prefix}{LOGIN_PATH}", "scopes": SCOPES}
    password = {**schemes[PASSWORD_SCHEME], "flows": {"password": flow}}
    components = document["components"] | {"securitySchemes": schemes | {PASSWORD_SCHEME: password}}
    return document | {"servers": [{"url": prefix or "/"}], "components": components}
