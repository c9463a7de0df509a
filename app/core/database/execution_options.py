"""What a statement may ask of the engine that runs it, as execution options."""

LOCK_PERSON = "lock_person"
"""Execution option of a statement that must first lock this person's row."""
PLANNED_ONCE = "planned_once"
"""Execution option of a statement that is built once: PostgreSQL plans it once for each connection, not each time."""
