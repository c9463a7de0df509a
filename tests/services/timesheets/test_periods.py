"""Periods of random rules are those that an oracle counts day by day (rules: S1, S2)."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.timesheets import PeriodKind
from app.services.timesheets.periods import can_start, kind_on, period_from, periods_touching
from tests.support.timesheet_oracle import DAY, tiles_between

FIRST, LAST = date(2023, 12, 1), date(2025, 4, 30)
"""Around February 2024, a leap year."""
days = st.dates(FIRST, LAST)


@st.composite
def rule_sets(draw):
    """Return rules that an admin could have set, in the order of their days."""
    drawn = {draw(days): draw(st.sampled_from(PeriodKind)) for _ in range(draw(st.integers(0, 5)))}
    starts = {day: kind for day, kind in drawn.items() if can_start(kind, day)}
    firsts = {day.replace(day=1): kind for day, kind in drawn.items() if day not in starts}
    return dict(sorted((starts | firsts).items()))


def found(rules, start, end):
    return [(period.first_day, period.last_day) for period in periods_touching(rules, start, end)]


@settings(max_examples=150, deadline=None)
@given(rule_sets(), days, st.integers(0, 120))
def test_the_periods_that_touch_some_days_are_those_of_the_oracle(rules, start, length):
    end = start + timedelta(days=length)

    assert found(rules, start, end) == tiles_between(rules, start, end)


@settings(max_examples=50, deadline=None)
@given(rule_sets())
def test_periods_follow_each_other_without_gap_or_overlap_from_the_first_rule_on(rules):
    periods = found(rules, FIRST, LAST)

    assert [first for first, _ in periods] == [*list(rules)[:1], *(last + DAY for _, last in periods[:-1])]
    assert set(rules) <= {first for first, _ in periods}


@settings(max_examples=50, deadline=None)
@given(rule_sets(), days)
def test_a_period_is_found_by_its_first_day_alone(rules, day):
    (period,) = [*periods_touching(rules, day, day)] or [None]
    named = period_from(rules, day)

    assert named == (period if period is not None and period.first_day == day else None)
    if period is not None:
        assert period.kind is rules[max(each for each in rules if each <= period.first_day)]
        assert kind_on(rules, period.last_day) is period.kind


def test_february_of_a_leap_year_ends_on_the_29th():
    for kind, first in ((PeriodKind.month, date(2024, 2, 1)), (PeriodKind.half_month, date(2024, 2, 16))):
        assert period_from({date(2024, 1, 1): kind}, first).last_day == date(2024, 2, 29)
        assert period_from({date(2024, 1, 1): kind}, first.replace(year=2025)).last_day == date(2025, 2, 28)


def test_a_rule_cuts_the_period_of_the_rule_before_it():
    rules = {date(2024, 1, 1): PeriodKind.month, date(2024, 3, 13): PeriodKind.week}

    assert found(rules, date(2024, 3, 1), date(2024, 3, 20)) == [
        (date(2024, 3, 1), date(2024, 3, 12)),
        (date(2024, 3, 13), date(2024, 3, 19)),
        (date(2024, 3, 20), date(2024, 3, 26)),
    ]


def test_a_rule_a_day_before_the_next_one_has_a_period_of_a_day():
    rules = {date(2024, 2, 29): PeriodKind.two_weeks, date(2024, 3, 1): PeriodKind.month}

    assert found(rules, date(2024, 2, 29), date(2024, 3, 1)) == [
        (date(2024, 2, 29), date(2024, 2, 29)),
        (date(2024, 3, 1), date(2024, 3, 31)),
    ]


def test_periods_reach_the_last_day_of_the_calendar():
    rules = {date(2000, 1, 1): PeriodKind.two_weeks}

    assert found(rules, date(2100, 1, 1), date(2100, 1, 1)) == [(date(2099, 12, 19), date(2100, 1, 1))]
