"""The refresh token of the page, in a cookie that scripts can't read, and protection against other sites.

The page's own scripts get only the access token. So a script that an attacker injects into the page can act while the
page is open, but takes no login session away.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from app.core.config.local_hosts import is_loopback_host, url_host
from app.core.config.settings import Settings
from app.core.errors import Forbidden
from app.core.security.opaque_tokens import RefreshRefused
from app.core.time.zones import DAY_SECONDS

SECURE_NAME = "__Host-refresh"
"""Browsers accept this prefix only over TLS, with Secure and Path=/, and without a domain."""
LOCAL_NAME = "refresh"
PAGE_HEADER = "page"


class CrossSiteRequest(Forbidden):
    code = "cross_site_request"
    title = "Cross-site request"


@dataclass(frozen=True, slots=True)
class PageOrigin:
    """The headers by which a request of the page differs from one that another site makes its visitor send."""

    host: str
    scheme: str
    requested_with: str | None
    origin: str

    def check(self) -> None:
        """Raise CrossSiteRequest unless the request comes from a page of this service.

        A form of another site can't send the header, and its origin is another one. A page over plain HTTP is another
        origin too if this request came over TLS.
        """
        origins = {f"https://{self.host}", f"{self.scheme}://{self.host}"}
        if self.requested_with != PAGE_HEADER or self.origin not in origins:
            raise CrossSiteRequest("This operation is for the page of this service. API clients use POST /auth/login.")


class RefreshCookie:
    """The cookie of a request, and how the response changes it."""

    def __init__(self, request: Request) -> None:
        is_local = request.url.scheme == "http" and is_loopback_host(
            url_host(f"http://{request.headers.get('host', '')}")
        )
        self._name = LOCAL_NAME if is_local else SECURE_NAME
        self._attributes = "; HttpOnly; SameSite=Strict; Path=/" + ("" if is_local else "; Secure")
        self._text = request.cookies.get(self._name)
        self._response_headers: dict[str, str] = request.state.response_headers  # also of error responses

    def read(self) -> str:
        """Return the refresh token. Raises RefreshRefused if there is none."""
        if not self._text:
            raise RefreshRefused("There is no login session in this browser. Log in again.")
        return self._text

    def set(self, refresh_token: str, settings: Settings) -> None:
        """Store the refresh token until its login session would expire without a refresh."""
        self._send(refresh_token, settings.REFRESH_TOKEN_EXPIRE_DAYS * DAY_SECONDS)

    def delete(self) -> None:
        self._send("", 0)

    def _send(self, value: str, max_age: int) -> None:
        self._response_headers["Set-Cookie"] = f"{self._name}={value}; Max-Age={max_age}{self._attributes}"


async def _get_page_origin(
    request: Request,
    x_requested_with: Annotated[
        str | None, Header(max_length=20, description="Always `page`.", examples=[PAGE_HEADER])
    ] = None,
    origin: Annotated[
        str | None,
        Header(
            max_length=300,
            description="Set by the browser. Its host and port are those of this service.",
            examples=["https://time.example.com"],
        ),
    ] = None,
) -> PageOrigin:
    host = request.headers.get("host", "").lower()
    return PageOrigin(host, request.url.scheme, x_requested_with, (origin or "").lower())


async def _get_refresh_cookie(request: Request) -> RefreshCookie:
    return RefreshCookie(request)


RefreshCookieDep = Annotated[RefreshCookie, Depends(_get_refresh_cookie)]
PageOriginDep = Annotated[PageOrigin, Depends(_get_page_origin)]
