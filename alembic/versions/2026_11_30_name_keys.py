"""Leave invisible characters out of the keys of names, and fold runs of blanks.

Why: two projects could have names that look alike, and a search for a name did not find its other spelling.

If another project already has the key, a project keeps its former key, which is unique too. The previous release works
with both forms of the key.
"""

import re
import unicodedata
from collections.abc import Callable

import sqlalchemy as sa

from alembic import op

revision = "2026_11_30_name_keys"
down_revision = "2026_11_30_drop_export_slots"
branch_labels = None
depends_on = None

# Default_Ignorable_Code_Point of Unicode 16.0, and two symbols without ink.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\u2800\U0001d159]"
)
_USER = sa.table("user", sa.column("id"), sa.column("first_name"), sa.column("last_name"), sa.column("name_key"))
_PROJECT = sa.table("project", sa.column("id"), sa.column("name"), sa.column("name_key"))


def upgrade() -> None:
    _replace_keys(_key_of_what_is_seen)


def downgrade() -> None:
    _replace_keys(_key)


def _replace_keys(make_key: Callable[[str], str]) -> None:
    if op.get_context().as_sql:  # nothing changes in the schema, and the rows are unknown
        return
    connection = op.get_bind()
    projects = connection.execute(sa.select(_PROJECT).order_by(_PROJECT.c.id)).all()
    taken = {project.name_key for project in projects}
    for project in projects:
        if (key := make_key(project.name)) not in taken:
            taken.add(key)
            _update(connection, _PROJECT, project, key)
    for user in connection.execute(sa.select(_USER).order_by(_USER.c.id)).all():
        if (key := make_key(f"{user.first_name} {user.last_name}")) != user.name_key:
            _update(connection, _USER, user, key)


def _update(connection: sa.Connection, table: sa.TableClause, row: sa.Row[tuple[object, ...]], key: str) -> None:
    is_unchanged = (table.c.id == row.id) & (table.c.name_key == row.name_key)  # a request may have renamed it
    connection.execute(sa.update(table).where(is_unchanged).values(name_key=key))


def _key(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).strip().casefold())


def _key_of_what_is_seen(text: str) -> str:
    return " ".join(_key(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text))).split())
