"""The effects of events on the objects of their chain, beside the values that the events hold."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Row, Table

from app.core.email_addresses import email_key
from app.core.security.hash_chain import DIGEST_PREFIX
from app.core.text import casefold_key, name_key
from app.models.tables import (
    LOGIN_SESSION,
    PASSWORD_LINK,
    PAYROLL_LOCK,
    PROJECT_MEMBER,
    RECOVERY_CODE,
    SECOND_FACTOR,
    TIMESHEET_RULE,
    USER,
)
from app.models.timesheets import ENTRIES_LOCK
from app.services.audit.recorder import Fields, is_digest, pseudonym

ObjectKey = tuple[str, int | str | None]
"""Name of a table, and what identifies a row among the rows of one chain: its id, or for a recovery code its MAC.

With None, the state is that of any rows of which no event holds the id. An event of an earlier version added them.
"""
Objects = dict[ObjectKey, Fields]
LOCK_DATE: ObjectKey = (PAYROLL_LOCK.name, ENTRIES_LOCK)
NO_LOCK_DATE: Fields = {"before_day": None, "version": 1, "changed_at": None, "changed_by": None}
"""The row that the migration inserts."""


def known_fields(event: Row[Any], side: str) -> Iterator[tuple[str, Any]]:
    """Yield the fields of `before` or `after` with personal values. Erased values are left out."""
    text = getattr(event, side)
    if text is None:
        return
    if DIGEST_PREFIX not in text:
        yield from json.loads(text).items()
        return
    for name, value in json.loads(text).items():
        if not is_digest(name, value):
            yield name, value
        elif event.personal:
            yield name, json.loads(event.personal)["values"][f"{side}.{name}"]


def derive(event: Row[Any], state: Fields, at: str, *, created: bool) -> None:
    """Add what follows from an event without being in it: its time, and the keys of names and e-mails."""
    match event.object_type:
        case "time_entry" if "version" in state:  # else from the demo command up to 0.9, whose times are invented
            state["updated_at"] = at
        case "user":
            if "email" in state:
                state["email_key"] = _possible_email_keys(state["email"])
            if state.keys() >= {"first_name", "last_name"}:
                state["name_key"] = _possible_keys(f"{state['first_name']} {state['last_name']}")
        case "project" if "name" in state:
            state["name_key"] = _possible_keys(state["name"])
    if created and (event.object_type != "time_entry" or "version" in state):
        state["created_at"] = at
    if created and event.object_type == "user":
        state["has_second_factor"] = False


def _possible_keys(name: str) -> frozenset[str]:
    """Return the key of a name, and the key that version 0.9 stored. A migration cannot replace all of those."""
    return frozenset({name_key(name), casefold_key(name)})


def _possible_email_keys(email: str) -> frozenset[str]:
    """Return the key of an e-mail, and the key that a worker of 0.10 stores during the upgrade."""
    return frozenset({email_key(email), casefold_key(email)})


def _user(objects: Objects, chain_id: int) -> Fields:
    """Return the state of the chain's user. Without an event that creates the user, it is not kept."""
    return objects.get((USER.name, chain_id), {})


def _add_member(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    objects[PROJECT_MEMBER.name, event.object_id] = {}


def _remove_member(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    objects.pop((PROJECT_MEMBER.name, event.object_id), None)


def _begin_second_factor(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    fields = dict(known_fields(event, "after"))
    objects[SECOND_FACTOR.name, chain_id] = {"created_at": at, "confirmed_at": None} | fields


def _confirm_second_factor(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    objects.setdefault((SECOND_FACTOR.name, chain_id), {})["confirmed_at"] = at
    _user(objects, chain_id)["has_second_factor"] = True
    for mac in dict(known_fields(event, "after")).get("code_hash", [None]):
        objects[RECOVERY_CODE.name, mac] = {}


def _use_recovery_code(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    objects.pop((RECOVERY_CODE.name, dict(known_fields(event, "after"))["code_hash"]), None)


def _discard_second_factor(objects: Objects, chain_id: int, _event: Row[Any], _at: str) -> None:
    objects.pop((SECOND_FACTOR.name, chain_id), None)


def _remove_second_factor(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    _discard_second_factor(objects, chain_id, event, at)
    _remove_all(objects, RECOVERY_CODE)
    _user(objects, chain_id)["has_second_factor"] = False


def _open_session(objects: Objects, _chain_id: int, event: Row[Any], at: str) -> None:
    fields = dict(known_fields(event, "after"))
    if (session_id := fields.get("session_id")) is not None:
        limits = {name: fields[name] for name in ("idle_days", "max_days") if name in fields}
        objects[LOGIN_SESSION.name, session_id] = {"created_at": at} | limits
        return
    unnamed = objects.setdefault((LOGIN_SESSION.name, None), {"created_at": frozenset()})
    unnamed["created_at"] |= {at}


def _end_session(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    objects.pop((LOGIN_SESSION.name, event.object_id), None)


def _end_other_sessions(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    """Remove all login sessions but one. Up to 0.9 the event does not say which one is left, so any of them may be."""
    current: ObjectKey = (LOGIN_SESSION.name, dict(known_fields(event, "after")).get("session_id"))
    if current[1] is None:
        for name, session_id in objects:
            if name == LOGIN_SESSION.name and session_id is not None:
                objects[name, session_id] = {}
        return
    state = objects.get(current, objects.get((LOGIN_SESSION.name, None)))
    _remove_all(objects, LOGIN_SESSION)
    if state is not None:
        objects[current] = state


def _end_all_sessions(objects: Objects, _chain_id: int, _event: Row[Any], _at: str) -> None:
    _remove_all(objects, LOGIN_SESSION)


def _remove_all(objects: Objects, table: Table) -> None:
    for key in [key for key in objects if key[0] == table.name]:
        del objects[key]


def _set_rule(objects: Objects, _chain_id: int, event: Row[Any], at: str) -> None:
    fields = dict(known_fields(event, "after"))
    objects[TIMESHEET_RULE.name, fields.pop("valid_from")] = fields | {"created_at": at}


def _remove_rule(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    objects.pop((TIMESHEET_RULE.name, dict(known_fields(event, "before"))["valid_from"]), None)


def _move_lock_date(objects: Objects, _chain_id: int, event: Row[Any], _at: str) -> None:
    objects[LOCK_DATE] = dict(known_fields(event, "after"))


def _create_link(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    objects[PASSWORD_LINK.name, chain_id] = {"created_at": at} | dict(known_fields(event, "after"))


def _remove_link(objects: Objects, chain_id: int, _event: Row[Any], _at: str) -> None:
    objects.pop((PASSWORD_LINK.name, chain_id), None)


def _change_user(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    """Remove the password link if the e-mail changed, because the link was sent to the former address."""
    before, after = (dict(known_fields(event, side)) for side in ("before", "after"))
    if email_key(before.get("email", "")) != email_key(after.get("email", "")):
        _remove_link(objects, chain_id, event, at)


def _revoke_access(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    _remove_link(objects, chain_id, event, at)
    _remove_all(objects, LOGIN_SESSION)


def _set_password(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    _revoke_access(objects, chain_id, event, at)
    _forget_former_hash(objects, chain_id, event)


def _set_own_password(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    _set_password(objects, chain_id, event, at)
    _user(objects, chain_id)["must_change_password"] = False


def _change_own_password(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    _set_own_password(objects, chain_id, event, at)
    _open_session(objects, chain_id, event, at)


def _forget_former_hash(objects: Objects, chain_id: int, event: Row[Any]) -> None:
    """Forget the MAC of the former hash if the event has none of the new one. A worker of 0.9 wrote it."""
    if "password_hash" not in dict(known_fields(event, "after")):
        _user(objects, chain_id).pop("password_hash", None)


def _erase(objects: Objects, chain_id: int, event: Row[Any], at: str) -> None:
    _revoke_access(objects, chain_id, event, at)
    _remove_second_factor(objects, chain_id, event, at)
    _forget_former_hash(objects, chain_id, event)
    user = _user(objects, chain_id)
    user.update(pseudonym(chain_id))
    derive(event, user, at, created=False)


MEMBERSHIPS = {"project:add_member", "project:remove_member"}
EFFECTS: dict[str, Callable[[Objects, int, Row[Any], str], None]] = {
    "project:add_member": _add_member,
    "project:remove_member": _remove_member,
    "second_factor:begin": _begin_second_factor,
    "second_factor:discard": _discard_second_factor,
    "user:add_second_factor": _confirm_second_factor,
    "user:remove_second_factor": _remove_second_factor,
    "user:reset_second_factor": _remove_second_factor,
    "recovery_code:use": _use_recovery_code,
    "login:accept": _open_session,
    "session:log_out": _end_session,
    "session:end": _end_session,
    "session:end_on_reuse": _end_session,
    "session:end_others": _end_other_sessions,
    "session:end_all": _end_all_sessions,
    "password_link:create": _create_link,
    "user:change": _change_user,
    "user:deactivate": _revoke_access,
    "user:set_password": _set_password,
    "user:change_password": _change_own_password,
    "user:set_password_by_link": _set_own_password,
    "user:erase": _erase,
    "timesheet_rule:set": _set_rule,
    "timesheet_rule:remove": _remove_rule,
    "payroll_lock:move": _move_lock_date,
}
