"""Replay of one audit chain: the state of its objects after the last event, as far as events hold it.

Events hold full snapshots of what they create or end, and differences of what they change. What no event of a chain
holds stays unknown, for example the version of an entry that the demo command of 0.9 created.
"""

from typing import Any

from sqlalchemy import Row

from app.models.tables import (
    API_TOKEN,
    ENTRY,
    LOGIN_SESSION,
    PROJECT,
    RECOVERY_CODE,
    TIMESHEET,
    USER,
)
from app.services.audit.recorder import ORGANISATION_CHAIN, Fields, to_json_value
from app.services.audit.replay_effects import (
    EFFECTS,
    LOCK_DATE,
    MEMBERSHIPS,
    NO_LOCK_DATE,
    ObjectKey,
    derive,
    known_fields,
)

BASELINE_VERB = ":baseline"
"""Ending of actions whose event holds present values that no earlier event holds."""
_CREATING = {"create", "clock_in"}
_ENDING = {"delete", "revoke"}
_TABLES = {table.name: table for table in (ENTRY, USER, PROJECT, API_TOKEN, TIMESHEET)}
_UNNAMED = {LOGIN_SESSION.name, RECOVERY_CODE.name}
"""Tables whose rows events of earlier versions added without their id."""


class ChainReplay:
    """State of the objects of one chain. `conflicts` names events that met an object in another state."""

    def __init__(self, chain_id: int) -> None:
        self.objects: dict[ObjectKey, Fields] = {}
        if chain_id == ORGANISATION_CHAIN:
            self.objects[LOCK_DATE] = dict(NO_LOCK_DATE)
        self.conflicts: list[tuple[ObjectKey, str]] = []
        self.chain_id = chain_id

    def apply(self, event: Row[Any]) -> None:
        """Apply a verified event. Events that change no object, such as logins and exports, have no effect."""
        at = to_json_value(event.at)
        if event.action.endswith(BASELINE_VERB):
            self._apply_baseline(event)
            return
        if event.object_type in _TABLES and event.object_id is not None and event.action not in MEMBERSHIPS:
            self._apply_change(event, at)
        if effect := EFFECTS.get(event.action):
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
        derive(event, state, at, created=is_created)

    def _add_conflict(self, key: ObjectKey, what: str, event: Row[Any]) -> None:
        text = f"{describe(key, self.chain_id)} {what} without an event, before link {event.position}."
        self.conflicts.append((key, text))


def describe(key: ObjectKey, chain_id: int) -> str:
    """Name an object, for example "time_entry 12 of user 3"."""
    owner = f" of user {chain_id}" if chain_id and key[0] != USER.name else ""
    number = "" if key[0] == RECOVERY_CODE.name else f" {key[1]}"
    return f"{key[0]}{number}{owner}"
