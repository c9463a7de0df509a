"""Strategies for the stories of test_state_machine.py.

Hypothesis draws names instead of ids, and instants relative to existing entries, because ids and entries are known
only when the story runs. An action is the name of a method of the story and its arguments.
"""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as some
from hypothesis.strategies import SearchStrategy

ANA, BOB, EVE, MAX, MIA, ADA, ROOT = "Ana", "Bob", "Eve", "Max", "Mia", "Ada", "Root"
PEOPLE = (ANA, BOB, EVE, MAX, MIA, ADA)
THEY, BOSS = "they themselves", "their manager"
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
)
EVES = (datetime(2026, 3, 28, 6, tzinfo=UTC), datetime(2026, 10, 24, 6, tzinfo=UTC))
"""Instants one day before a clock change in Europe. In the other zones the change is a few days earlier or later."""
HOUR, DAY = 3600, 86400

Draft = dict[str, Any]
Some = SearchStrategy[Any]


def weighted(*choices: tuple[int, Some]) -> Some:
    """Draw one of the choices, weighted by its number. `one_of` ignores repeated choices, so it cannot weight them."""
    return some.sampled_from([each for times, each in choices for _ in range(times)]).flatmap(lambda each: each)


def fixed(**fields: Some) -> Some:
    return some.fixed_dictionaries(fields)


names = some.sampled_from(PEOPLE)
actors = some.sampled_from([THEY] * 10 + [BOSS] * 4 + [ROOT, EVE, MIA])
admins = some.sampled_from([ROOT] * 6 + [ADA, MIA, ANA])
punchers = some.runner().flatmap(lambda story: some.sampled_from(story.puncher_names()))
entries = some.runner().flatmap(lambda story: some.sampled_from(story.entry_ids()))
zones = some.sampled_from(ZONES)
projects = some.sampled_from(["Website"] * 7 + ["Shop", "Shop", "Secret", "None such"])
texts = some.sampled_from(["", "Landing page", "Überstunden"])
reasons = some.sampled_from(["Because"] * 5 + [None])
keys = some.sampled_from([None, None, None, "a", "b"])
versions = some.sampled_from([None, None, None, 0, 0, 0, 1])
"""The version that a change expects: any version (None), or the entry's version plus this number."""

# The index of an instant, and an offset in seconds. Index 0 is now. The following are the bounds of the entry and of
# the user's other entries, latest first.
in_the_past = some.tuples(
    some.just(0), some.sampled_from([*range(-HOUR, -60 * HOUR, -HOUR // 2), *[-31 * DAY, -31 * DAY - 1] * 20])
)
touching = some.tuples(some.integers(1, 6), some.just(0))
nearby = some.tuples(some.integers(1, 4), some.sampled_from([-HOUR // 2, HOUR, -HOUR, HOUR // 2, 1, -1]))
spots = weighted((3, in_the_past), (3, touching), (2, nearby))
near_end = some.tuples(some.just(1), some.sampled_from([-HOUR // 2, -HOUR, HOUR, -1]))
near_start = some.tuples(some.just(2), some.sampled_from([HOUR // 2, -HOUR, HOUR, 1]))
ends, starts = weighted((3, near_end), (2, spots)), weighted((3, near_start), (2, spots))

lengths = some.sampled_from([HOUR, 2 * HOUR, HOUR // 2, 8 * HOUR] * 4 + [1, DAY, DAY + 1, 0, -60])
creation = fixed(whose=names, project=projects, spot=spots, is_end=some.booleans(), length=lengths, reason=reasons)
others = {"project_id": projects, "description": texts, "needs_review": some.just(False)}
times = weighted(
    (3, fixed(end_time=ends)),
    (3, fixed(start_time=starts)),
    (1, fixed(start_time=starts, needs_review=some.just(False))),
    (2, some.fixed_dictionaries({"start_time": starts, "end_time": ends}, optional=others)),
)
change = fixed(
    entry_id=entries,
    sent=weighted((2, times), (1, some.fixed_dictionaries({}, optional=others))),
    reason=reasons,
    ahead=versions,
)
deletion = fixed(entry_id=entries, ahead=versions)
punch_out = fixed(entry_id=entries)

orders = some.one_of(
    some.just(("deactivate",)),
    some.just(("activate",)),
    some.tuples(some.just("move"), zones),
    some.tuples(some.just("assign"), names),
    some.tuples(some.just("archive"), some.sampled_from(["Website", "Shop", "Secret"]), some.booleans()),
)
waits = weighted(
    (2, some.sampled_from([HOUR, 8 * HOUR, 1, 60])),
    (1, some.sampled_from([16 * HOUR, 16 * HOUR + 1, 20 * HOUR, DAY, DAY + 1, 31 * DAY])),
    (1, some.integers(1, 12 * DAY)),
)


def action(name: str, **arguments: Some) -> Some:
    return some.tuples(some.just(name), fixed(**arguments))


actions = weighted(
    (
        6,
        action(
            "punch",
            after=some.sampled_from([0, HOUR, 8 * HOUR, 16 * HOUR, 16 * HOUR + 1, 20 * HOUR]),
            who=punchers,
            what=some.sampled_from(["turn", "turn", "turn", "turn", "in", "switch", "out"]),
            project=projects,
            text=texts,
            key=keys,
        ),
    ),
    (6, action("enter", who=actors, draft=creation, key=keys)),
    (8, action("correct", who=actors, draft=weighted((6, change), (1, deletion), (1, punch_out)), key=keys)),
    (
        3,
        action(
            "change_many",
            who=some.sampled_from([ROOT, ROOT, ROOT, MIA, MIA, *PEOPLE]),
            drafts=some.lists(weighted((3, creation), (2, change), (1, deletion)), min_size=1, max_size=3),
            key=keys,
        ),
    ),
    (2, action("repeat_request", back=some.integers(0, 5))),
    (1, action("list_entries", who=some.sampled_from([ANA, BOB, EVE, MAX, MIA]))),
    (2, action("wait", seconds=waits)),
    (3, action("change_the_company", who=admins, whom=names, what=orders)),
)
"""A single rule draws all actions, because Hypothesis disables about half of several rules in each story."""
