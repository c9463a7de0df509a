"""Headers of a reverse proxy: the client's address, the scheme and the path under which the proxy serves the API."""

import re
from collections.abc import Mapping
from typing import Any

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.core.config.types import PATH_PREFIX

_PATH_PREFIX = re.compile(rb"(?=.{0,200}\Z)" + PATH_PREFIX.encode() + rb"/?")


class ForwardedMiddleware(ProxyHeadersMiddleware):
    """Apply X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix of a trusted proxy.

    The proxy must remove the prefix from the path. The service only puts it in front of the URLs that it returns. A
    value that is no path is ignored.
    """

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http" and (scope["client"] or ("",))[0] in self.trusted_hosts:
            prefixes = [value for name, value in scope["headers"] if name == b"x-forwarded-prefix"]
            if len(prefixes) == 1 and _PATH_PREFIX.fullmatch(prefixes[0]):
                scope.setdefault("state", {})["path_prefix"] = prefixes[0].decode().rstrip("/")
        await super().__call__(scope, receive, send)


def path_prefix(scope: Mapping[str, Any]) -> str:
    """Return the prefix of the paths of this request's client: "" or a path such as `/zeit`."""
    return str(scope.get("state", {}).get("path_prefix", ""))
