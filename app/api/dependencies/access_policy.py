"""Which operations take an API token, and which a person who has to do something else first.

One table, closed by default: an operation that isn't named here takes a session's token only, of somebody who has
nothing to do first.
"""

from functools import cache

from fastapi import Request

from app.core.security.access_tokens import NOBODY_ELSE, Access, TokenScope, Waiting

_READ, _WRITE = TokenScope.entries_read, TokenScope.entries_write
_REPORTS, _ADMIN = TokenScope.reports_read, TokenScope.admin
# By the operations' tag: scopes that may read, scopes that may write.
_SCOPES: dict[str, tuple[set[TokenScope], set[TokenScope]]] = {
    "time entries": ({_READ}, {_WRITE}),
    "projects": ({_READ, _WRITE}, set()),
    "team": ({_READ, _REPORTS}, set()),
    "reports": ({_REPORTS}, set()),
    "exports": ({_REPORTS}, set()),
    "admin: users": ({_ADMIN}, {_ADMIN}),
    "admin: projects": ({_ADMIN}, {_ADMIN}),
    "admin: record": ({_ADMIN}, set()),
}
# By the endpoint's name, in the place of its tag's. The last four change what lets others in: with them an API token
# would make itself a session, past its scope, its expiry and the second factor.
_SCOPES_OF_ONE: dict[str, set[TokenScope]] = {
    "read_me": set(TokenScope),
    "set_password": set(),
    "make_password_link": set(),
    "end_sessions": set(),
    "reset_second_factor": set(),
}
# By the endpoint's name: for who has to do this first.
_WAITING: dict[str, set[Waiting]] = {
    "read_me": set(Waiting),
    "log_out": set(Waiting),
    "change_password": set(Waiting),
    "read_second_factor": {Waiting.second_factor},
    "begin_second_factor": {Waiting.second_factor},
    "confirm_second_factor": {Waiting.second_factor},
}


def access_to(request: Request) -> Access:
    """Who may call the operation that a request is for."""
    route = request.scope.get("route")
    return access_of(route.name, *route.tags, reads=route.methods == {"GET"}) if route else NOBODY_ELSE


@cache
def access_of(name: str, *tags: str, reads: bool) -> Access:
    """Who may call the operation of this name and these tags."""
    of_tags = {scope for tag in tags if tag in _SCOPES for scope in _SCOPES[tag][0 if reads else 1]}
    scopes = _SCOPES_OF_ONE.get(name, of_tags)
    return Access(frozenset(scopes), frozenset(_WAITING.get(name, ())))
