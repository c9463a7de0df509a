"""Strategies for the stories of test_timesheets.py, beside those of entries."""

from hypothesis import strategies as some

from tests.api.state_machine.strategies import (
    ADA,
    BOSS,
    DAY,
    EVE,
    HOUR,
    MIA,
    PEOPLE,
    ROOT,
    THEY,
    action,
    actions,
    admins,
    fixed,
    names,
    reasons,
    versions,
    weighted,
    zones,
)

FITTING = "whoever may"
NEXT_PERIOD, NO_PERIOD = -1, -2
KINDS = ("week", "two_weeks", "half_month", "month")
owners = some.sampled_from([*PEOPLE, ROOT])
deciders = some.sampled_from([FITTING] * 12 + [THEY, BOSS, ROOT, EVE, MIA, ADA])
periods_back = some.sampled_from([1, 1, 1, 1, 1, 2, 2, 3, 0, NEXT_PERIOD, NO_PERIOD])
"""The number of periods before the present one."""
sheet = fixed(whose=owners, back=periods_back)
rule_days = some.sampled_from(["1st", "1st", "16th", "today", "free day", "free day", "day before"])

timesheet_actions = weighted(
    (
        7,
        action(
            "act_on_sheet",
            who=deciders,
            sheet=sheet,
            what=some.sampled_from(["next"] * 6 + ["submit", "withdraw", "approve", "reject", "reopen"]),
            text=reasons,
            ahead=versions,
        ),
    ),
    (
        1,
        action(
            "approve_many", who=some.sampled_from([MIA, ADA, ROOT, ROOT, EVE]), drafts=some.lists(sheet, max_size=2)
        ),
    ),
    (1, action("set_rule", who=admins, day=rule_days, months=some.integers(-2, 3), kind=some.sampled_from(KINDS))),
    (1, action("remove_rule", who=admins, which=some.integers(0, 3))),
    (1, action("move_lock", who=admins, days=some.sampled_from([None, None, 0, 1, 2, 8, 30, 60, -1]), ahead=versions)),
    (
        1,
        action(
            "list_sheets", who=some.sampled_from([MIA, ADA, ROOT]), is_waiting=some.booleans(), is_wide=some.booleans()
        ),
    ),
    (
        4,
        action(
            "wait_for_edge",
            whose=names,
            periods=some.sampled_from([0, 0, 0, 1]),
            seconds=some.sampled_from([-1, 0, 1, 59, 60, 61, HOUR, 8 * HOUR, DAY]),
        ),
    ),
    (1, action("travel", who=names, zone=zones)),
    (14, actions),
)
