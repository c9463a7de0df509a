"""Replay of one audit chain: the state of its objects after the last event, as far as events hold it.

Events hold full snapshots of what they create or end, and differences of what they change. What no event of a chain
holds stays unknown, for example the version of an entry that the demo command of 0.9 created.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Row, Table

from app.core.email_addresses import email_key
from app.core.security.hash_chain import DIGEST_PREFIX
from app.core.text import casefold_key, name_key
from app.models.tables import (
    API_TOKEN,
    ENTRY,
    LOGIN_SESSION,
    PASSWORD_LINK,
    PAYROLL_LOCK,
    PROJECT,
    PROJECT_MEMBER,
    RECOVERY_CODE,
    SECOND_FACTOR,
    TIMESHEET,
    TIMESHEET_RULE,
    USER,
)
from app.models.timesheets import ENTRIES_LOCK
from app.services.audit.recorder import ORGANISATION_CHAIN, Fields, is_digest, pseudonym, to_json_value

ObjectKey = tuple[str, int | str | None]
"""Name of a table, and what identifies a row among the rows of one chain: its id, or for a recovery code its MAC.

With None, the state is that of any rows of which no event holds the id. An event of an earlier version added them.
"""
BASELINE_VERB = ":baseline"
"""Ending of actions whose event holds present values that no earlier event holds."""
_CREATING = {"create", "clock_in"}
_ENDING = {"delete", "revoke"}
_TABLES = {table.name: table for table in (ENTRY, USER, PROJECT, API_TOKEN, TIMESHEET)}
_LOCK_DATE: ObjectKey = (PAYROLL_LOCK.name, ENTRIES_LOCK)
_NO_LOCK_DATE: Fields = {"before_day": None, "version": 1, "changed_at": None, "changed_by": None}
"""The row that the migration inserts."""
_UNNAMED = {LOGIN_SESSION.name, RECOVERY_CODE.name}
"""Tables whose rows events of earlier versions added without their id."""


class ChainReplay:
    """State of the objects of one chain. `conflicts` names events that met an object in another state."""

    def __init__(self, chain_id: int) -> None:
        self.objects: dict[ObjectKey, Fields] = {}
        if chain_id == ORGANISATION_CHAIN:
            self.objects[_LOCK_DATE] = dict(_NO_LOCK_DATE)
        self.conflicts: list[tuple[ObjectKey, str]] = []
        self.chain_id = chain_id

    def apply(self, event: Row[Any]) -> None:
        """Apply a verified event. Events that change no object, such as logins and exports, have no effect."""
        at = to_json_value(event.at)
        if event.action.endswith(BASELINE_VERB):
            self._apply_baseline(event)
            return
        if event.object_type in _TABLES and event.object_id is not None and event.action not in _MEMBERSHIPS:
            self._apply_change(event, at)
        if effect := _EFFECTS.get(event.action):
            effect(self.objects, self.chain_id, event, at)

    def _apply_baseline(self, event: Row[Any]) -> None:
        fields = dict(known_fields(event, "after"))
        if event.object_type in _UNNAMED:
            self.objects.pop((event.object_type, None), None)
            key = (event.object_type, fields.pop("code_hash", event.object_id))
            self.objects[key] = fields
            return
        self.objects.get((event.object_type, event.object_id), {}).update(fields)

    def _apply_change(self, event: Row[Any], at: str) -> None:
        key, verb = (event.object_type, event.object_id), event.action.partition(":")[2]
        before, after = (dict(known_fields(event, side)) for side in ("before", "after"))
        state = self.objects.get(key)
        is_created = verb in _CREATING or (event.object_type == TIMESHEET.name and event.before is None)
        if is_created:
            state = self.objects[key] = {}
        elif state is None:  # if it still exists, its row is a fault
            if verb in _ENDING:
                self._add_conflict(key, "was added", event)
            return
        differing = [name for name, value in before.items() if name in state and state[name] != value]
        if differing:
            self._add_conflict(key, f"was changed in {', '.join(differing)}", event)
        if verb in _ENDING:
            del self.objects[key]
            return
        state.update(after)
        _derive(event, state, at, created=is_created)

    def _add_conflict(self, key: ObjectKey, what: str, event: Row[Any]) -> None:
        text = f"{describe(key, self.chain_id)} {what} without an event, before link {event.position}."
        self.conflicts.append((key, text))


def describe(key: ObjectKey, chain_id: int) -> str:
    """Name an object, for example "time_entry 12 of user 3"."""
    owner = f" of user {chain_id}" if chain_id and key[0] != USER.name else ""
    number = "" if key[0] == RECOVERY_CODE.name else f" {key[1]}"
    return f"{key[0]}{number}{owner}"


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


def _derive(event: Row[Any], state: Fields, at: str, *, created: bool) -> None:
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


Objects = dict[ObjectKey, Fields]


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
    objects[_LOCK_DATE] = dict(known_fields(event, "after"))


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
    _derive(event, user, at, created=False)


_MEMBERSHIPS = {"project:add_member", "project:remove_member"}
_EFFECTS: dict[str, Callable[[Objects, int, Row[Any], str], None]] = {
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
