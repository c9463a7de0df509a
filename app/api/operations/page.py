"""The page of the service at /app/: static files, which the browser loads again only if they have changed.

The page is a client of /api/v1 like any other, so nothing here knows a user.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from app.api.http.forwarded import path_prefix

FOLDER = Path(__file__).resolve().parents[2] / "web"
PAGE_PATH = "/app/"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'; trusted-types worker"
)
"""Nothing inline, nothing from elsewhere, and no script may turn text into HTML. The policy `worker` makes the address
of the worker, and nothing else."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent, with and without compression. A strong ETag names exactly one of the two."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str

    def answer(self, headers: Headers) -> Response:
        """Return the file, or 304 if the client has it already."""
        accepts_gzip = "gzip" in headers.get("accept-encoding", "")
        etag = f'"{self.etag}-gzip"' if accepts_gzip else f'"{self.etag}"'
        own = {
            "ETag": etag,
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            "Content-Security-Policy": CSP,
        }
        if etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=own)
        if accepts_gzip:
            own["Content-Encoding"] = "gzip"
        content = self.compressed if accepts_gzip else self.content
        return Response(content, headers=own, media_type=self.media_type)


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their path below /app/, and their list with a version for the worker."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    files = {path.relative_to(FOLDER).as_posix(): _prepare(path.read_bytes(), path.suffix) for path in paths}
    version = hashlib.sha256("".join(file.etag for file in files.values()).encode()).hexdigest()[:16]
    listed = json.dumps({"version": version, "files": sorted(files.keys() - {"worker.js"})})
    return files | {"files.json": _prepare(listed.encode(), ".json")}


class _BrowserRoute(Route):
    """A route that only browsers see: requests that accept HTML. All others go on to the next route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        wants_html = scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", "")
        return super().matches(scope) if wants_html else (Match.NONE, {})


def add_page(app: FastAPI) -> None:
    """Add the page at /app/, and send browsers there that open the root. Add it before the greeting at the root."""
    app.router.routes.append(_BrowserRoute("/", _redirect, include_in_schema=False))
    app.add_route(PAGE_PATH.rstrip("/"), _redirect, include_in_schema=False)
    app.add_route(f"{PAGE_PATH}{{path:path}}", _serve, include_in_schema=False)


async def _redirect(request: Request) -> Response:
    return RedirectResponse(f"{path_prefix(request.scope)}{PAGE_PATH}", 302, headers={"Vary": "Accept"})


async def _serve(request: Request) -> Response:
    file = page_files().get(request.path_params["path"] or "index.html")
    if file is None:
        raise HTTPException(404)
    return file.answer(request.headers)


def _prepare(content: bytes, suffix: str) -> PageFile:
    digest = hashlib.sha256(content).hexdigest()[:16]
    return PageFile(content, gzip.compress(content, 9, mtime=0), MEDIA_TYPES[suffix], digest)
