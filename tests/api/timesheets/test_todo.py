"""The to-do list: late clock-outs, entries to review, periods to submit, timesheets to decide on (rules: S9)."""

from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from tests.api.timesheets.conftest import RULE, sheet_path
from tests.support.times import hours_ago_utc

LISTS = ("running_long", "to_review", "to_submit", "to_decide")
THIS_MONTH = utc_now().date().replace(day=1)
LAST_MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)
MONTH_BEFORE = (LAST_MONTH - timedelta(days=1)).replace(day=1)


@pytest.fixture
def monthly(admin):
    """A timesheet is a month, since more than 400 days."""
    first_day = (THIS_MONTH - timedelta(days=460)).replace(day=1)
    assert admin.put(f"{RULE}/{first_day}", json={"period": "month"}).status_code == 200


def work(people, user, project, day, hour=8, **fields):
    return people.entry(user, project, f"{day} {hour:02}:00", f"{day} {hour:02}:30", **fields)


def todo(caller, **params):
    answer = caller.get("/reports/todo", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(caller, **params):
    """Return the users of each list that is not empty, in its order."""
    found = todo(caller, **params)
    return {name: [each["user_name"].split()[0] for each in found[name]] for name in LISTS if found[name]}


def submit(caller, user, first_day):
    assert caller.post(sheet_path(user, first_day, "submit"), json={"reason": "Away"}).status_code == 200


def test_nothing_is_to_be_done_before_anybody_works(as_user, ana):
    found = todo(as_user(ana))

    assert {name: value for name, value in found.items() if name != "as_of"} == {
        **{name: [] for name in LISTS},
        **{f"{name}_total": 0 for name in LISTS},
    }


def test_an_entry_that_runs_for_longer_than_a_shift_is_named(as_user, people, mia, ana, website):
    people.entry(mia, website, hours_ago_utc(15), None)
    entry = people.entry(ana, website, hours_ago_utc(17), None)

    (running,) = todo(as_user(mia))["running_long"]

    assert (running["entry_id"], running["user_name"], running["project_name"]) == (entry, "Ana Silva", "Website")
    assert running["end_time"] is None


def test_entries_to_review_come_oldest_first(as_user, people, ana, website):
    later = work(people, ana, website, LAST_MONTH + timedelta(days=1), needs_review=True)
    earlier = work(people, ana, website, LAST_MONTH, needs_review=True)
    work(people, ana, website, LAST_MONTH, hour=12)

    found = todo(as_user(ana))

    assert [entry["entry_id"] for entry in found["to_review"]] == [earlier, later]
    assert found["to_review_total"] == 2


def test_at_most_200_are_listed_and_all_are_counted(as_user, people, ana, website):
    people.records_events = False
    for minutes in range(201):
        start = f"{LAST_MONTH} {minutes // 60:02}:{minutes % 60:02}"
        people.entry(ana, website, f"{start}:00", f"{start}:30", needs_review=True)

    found = todo(as_user(ana))

    assert (len(found["to_review"]), found["to_review_total"]) == (200, 201)


class TestPeriodsToSubmit:
    def test_a_month_with_work_is_to_be_submitted_when_it_is_over(self, as_user, people, ana, website, monthly):
        work(people, ana, website, LAST_MONTH, hour=0)
        people.entry(ana, website, hours_ago_utc(0.002), None)

        (sheet,) = todo(as_user(ana))["to_submit"]

        assert (sheet["first_day"], sheet["status"], sheet["total_seconds"]) == (str(LAST_MONTH), "open", 1800)
        assert sheet["can"] == ["submit"]

    def test_a_submitted_or_approved_month_is_not_and_a_rejected_one_is(
        self, as_user, people, mia, ana, website, monthly
    ):
        for month in (MONTH_BEFORE, LAST_MONTH):
            work(people, ana, website, month)
            submit(as_user(ana), ana, month)
        before = todo(as_user(ana))["to_submit"]
        as_user(mia).post(sheet_path(ana, MONTH_BEFORE, "approve"))
        as_user(mia).post(sheet_path(ana, LAST_MONTH, "reject"), json={"comment": "Tuesday?"})

        after = todo(as_user(ana))["to_submit"]

        assert before == []
        assert [(sheet["first_day"], sheet["status"]) for sheet in after] == [(str(LAST_MONTH), "rejected")]

    def test_work_counts_to_the_month_of_its_own_time_zone(self, as_user, people, ana, website, monthly):
        """At 23:30 UTC on the last day of a month, the next one has begun in Tokyo."""
        last_day = LAST_MONTH - timedelta(days=1)
        people.entry(ana, website, f"{last_day} 23:30", f"{last_day} 23:40", time_zone="Asia/Tokyo")

        assert [sheet["first_day"] for sheet in todo(as_user(ana))["to_submit"]] == [str(LAST_MONTH)]

    def test_a_week_ends_when_it_ends_for_its_user(self, as_user, people, admin, website):
        """Kim is in Kiritimati, where the day begins 24 hours earlier than for Hana in Honolulu."""
        kim = people.employee("Kim", time_zone="Pacific/Kiritimati")
        hana = people.employee("Hana", time_zone="Pacific/Honolulu")
        last_day = (utc_now() + timedelta(hours=14, minutes=-1)).date() - timedelta(days=1)
        first_day = last_day - timedelta(days=6)
        assert admin.put(f"{RULE}/{first_day}", json={"period": "week"}).status_code == 200
        for user in (kim, hana):
            people.entry(user, website, f"{first_day} 12:00", f"{first_day} 13:00")

        assert [sheet["first_day"] for sheet in todo(as_user(kim))["to_submit"]] == [str(first_day)]
        assert todo(as_user(hana))["to_submit"] == []

    def test_months_that_ended_more_than_400_days_ago_are_left_out(self, as_user, people, ana, website, monthly):
        work(people, ana, website, utc_now().date() - timedelta(days=432))

        assert todo(as_user(ana))["to_submit"] == []


class TestDecisions:
    def test_the_timesheet_that_waits_longest_comes_first(self, as_user, people, mia, ana, website, monthly):
        ben = people.employee("Ben", manager=mia)
        submit(as_user(ben), ben, LAST_MONTH)
        submit(as_user(ana), ana, MONTH_BEFORE)
        found = todo(as_user(mia))

        assert [sheet["user_name"] for sheet in found["to_decide"]] == ["Ben Silva", "Ana Silva"]
        assert (found["to_decide_total"], found["to_decide"][0]["can"]) == (2, ["approve", "reject"])

    def test_nobody_decides_on_their_own(self, as_user, mia, ada, monthly):
        submit(as_user(mia), mia, LAST_MONTH)

        assert todo(as_user(mia))["to_decide"] == []
        assert todo(as_user(ada), include_indirect=True)["to_decide_total"] == 1


class TestScope:
    @pytest.fixture
    def max_(self, people):
        """The manager of Tom, who leads Uma."""
        return people.manager("Max")

    @pytest.fixture
    def two_teams(self, people, ana, max_, website, monthly, as_user):
        """Ana, Tom and Uma have each something to review, to submit and to decide on."""
        tom = people.manager("Tom", manager=max_)
        uma = people.employee("Uma", manager=tom)
        for user in (ana, tom, uma):
            work(people, user, website, LAST_MONTH, needs_review=True)
            submit(as_user(user), user, MONTH_BEFORE)

    def test_employees_see_what_they_have_to_do_themselves(self, as_user, ana, two_teams):
        assert names(as_user(ana)) == {"to_review": ["Ana"], "to_submit": ["Ana"]}
        assert names(as_user(ana), include_indirect=True) == {"to_review": ["Ana"], "to_submit": ["Ana"]}

    def test_managers_see_their_team_and_on_request_the_teams_below(self, as_user, max_, two_teams):
        of_team = {key: ["Tom"] for key in LISTS[1:]}
        of_all = {key: ["Tom", "Uma"] for key in LISTS[1:]}

        assert names(as_user(max_)) == of_team
        assert names(as_user(max_), include_indirect=True) == of_all

    def test_admins_see_all_on_request(self, admin, two_teams):
        of_all = {key: ["Ana", "Tom", "Uma"] for key in LISTS[1:]}

        assert names(admin) == {}
        assert names(admin, include_indirect=True) == of_all
