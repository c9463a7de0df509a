"""/openapi.json, and the pages /docs and /redoc with their scripts and styles.

FastAPI's own pages load their scripts from another host.
"""

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import FileResponse, JSONResponse, Response

from app.api.http.forwarded import path_prefix
from app.api.openapi.security import document_below

STATIC_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png")
_STATIC_DIRECTORY = Path(fastapi_offline.__file__).parent / "static"
SWAGGER_UI_PARAMETERS = {
    "validatorUrl": None,  # else Swagger UI sends the document's URL to an external validator
    "persistAuthorization": True,  # so that a reload keeps the login; see SESSION_STORAGE_SCRIPT
    "filter": True,
    "defaultModelsExpandDepth": -1,  # no list of all models below the operations
    "docExpansion": "list",
}
SESSION_STORAGE_SCRIPT = """
const withoutSecrets = (name, value) =>
    ["password", "clientSecret", "refresh_token"].includes(name) ? undefined : value;
Object.defineProperty(window, "localStorage", { value: {
    getItem: (key) => sessionStorage.getItem(key),
    setItem: (key, value) => sessionStorage.setItem(key, JSON.stringify(JSON.parse(value), withoutSecrets)),
    removeItem: (key) => sessionStorage.removeItem(key),
} });
"""
"""Swagger UI keeps a login with the password in the local storage of the browser, for good. This keeps the access token
only, until the tab is closed."""
_SWAGGER_UI_CSS = """
.response-col_links, tr.response:not(:hover):not(:focus-within) .headers-wrapper,
tr.response:not([data-code^="2"]):not(:hover):not(:focus-within) :is(.model-example, .response-controls) {
    display: none;
}
.opblock .opblock-section-request-body .opblock-description-wrapper { padding-bottom: 0; }
.opblock-description-wrapper p, .opblock .parameters-col_description p { margin: 0.2em 0; }
"""
"""Show headers, and the example of an error, while the pointer or the focus is on their row. Else an operation with its
errors would be three times as high."""
_SWAGGER_UI_HEAD = f"<style>{_SWAGGER_UI_CSS}</style><script>{SESSION_STORAGE_SCRIPT}</script>"
_CSP = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Both pages set inline styles, and Redoc starts its search worker from a blob."""


def add_docs_pages(app: FastAPI) -> None:
    """Add the document, the two pages and their static files. The pages refer to the others by relative URLs."""
    app.openapi_url = "/openapi.json"
    app.add_route(app.openapi_url, _serve_document, include_in_schema=False)
    swagger = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=app.title,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
        swagger_ui_parameters=SWAGGER_UI_PARAMETERS,
    )
    redoc = get_redoc_html(
        openapi_url="openapi.json",
        title=app.title,
        redoc_js_url="docs/redoc.standalone.js",
        redoc_favicon_url="docs/favicon.png",
        with_google_fonts=False,
    )
    styled = bytes(swagger.body).decode().replace("</head>", f"{_SWAGGER_UI_HEAD}</head>")
    _add_page(app, "/docs", styled)
    _add_page(app, "/redoc", bytes(redoc.body).decode())
    for name in STATIC_FILES:
        _add_file(app, name)


async def _serve_document(request: Request) -> Response:
    return JSONResponse(document_below(path_prefix(request.scope), request.app.openapi()))


def _add_page(app: FastAPI, path: str, html: str) -> None:
    hashes = "".join(
        f" 'sha256-{_sha256(script)}'" for script in re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    )
    headers = {"Content-Security-Policy": _CSP.format(scripts=hashes)}

    async def serve_page(_request: Request) -> Response:
        return Response(html, headers=headers, media_type="text/html")

    app.add_route(path, serve_page, include_in_schema=False)


def _add_file(app: FastAPI, name: str) -> None:
    async def serve_file(_request: Request) -> Response:
        return FileResponse(_STATIC_DIRECTORY / name)

    app.add_route(f"/docs/{name}", serve_file, include_in_schema=False)


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
