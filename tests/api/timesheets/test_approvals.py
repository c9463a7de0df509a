"""Timesheets: submit, withdraw, approve, reject, reopen (rules: S1 to S8)."""

import hashlib
import json
from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from tests.api.timesheets.conftest import sheet_path
from tests.support.credentials import create_api_token
from tests.support.times import refusal


def act(caller, user, action, first_day="2026-03-01", **options):
    return caller.post(sheet_path(user, first_day, action), **options)


def ok(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def submitted(as_user, ana, march):
    return ok(act(as_user(ana), ana, "submit"))


@pytest.fixture
def approved(as_user, mia, ana, submitted):
    return ok(act(as_user(mia), ana, "approve", json={"comment": "Thank you"}))


class TestSubmitting:
    def test_ana_submits_march_with_its_sum_and_digest(self, as_user, ana, march, database):
        open_sheet = ok(as_user(ana).get(sheet_path(ana)))
        sheet = ok(act(as_user(ana), ana, "submit"))

        content = [1, ana.id, "2026-03-01", "2026-03-31"]
        entries = as_user(ana).get("/time-entries", params={"user_id": ana.id}).json()
        listed = [
            [entry[name] for name in ("id", "project_id", "start_time", "end_time", "time_zone", "description")]
            for entry in reversed(entries)
        ]
        text = json.dumps([*content, listed], separators=(",", ":"), ensure_ascii=False)
        assert sheet["digest"] == hashlib.sha256(text.encode()).hexdigest()
        assert (sheet["status"], sheet["total_seconds"], sheet["entries"]) == ("submitted", 5 * 3600, 2)
        assert (open_sheet["status"], open_sheet["version"], sheet["version"]) == ("open", 0, 1)
        assert (open_sheet["total_seconds"], open_sheet["entries"]) == (5 * 3600, 2)
        assert {entry["timesheet_id"] for entry in entries} != {None}

    def test_a_period_is_submitted_when_it_is_over_in_the_time_zone_of_its_user(self, as_user, ana, monthly):
        this_month = utc_now().date().replace(day=1)

        answer = act(as_user(ana), ana, "submit", str(this_month))

        assert refusal(answer) == (409, "timesheet_not_over")

    def test_an_empty_month_is_submitted_as_no_work(self, as_user, ana, monthly):
        sheet = ok(act(as_user(ana), ana, "submit", "2026-02-01"))

        assert (sheet["total_seconds"], sheet["entries"], sheet["status"]) == (0, 0, "submitted")

    def test_open_entries_and_those_to_review_are_named(self, as_user, people, ana, website, march):
        flagged = people.entry(ana, website, "2026-03-05 08:00", "2026-03-05 09:00", needs_review=True)
        running = people.entry(ana, website, "2026-03-31 23:30", None)

        answer = act(as_user(ana), ana, "submit")
        detail = ok(as_user(ana).get(sheet_path(ana)))

        assert refusal(answer) == (409, "timesheet_not_submittable")
        assert [(each["loc"], each["type"]) for each in answer.json()["errors"]] == [
            (["entry", flagged], "needs_review"),
            (["entry", running], "open"),
        ]
        assert detail["blocking_entries"] == [
            {"entry_id": flagged, "type": "needs_review"},
            {"entry_id": running, "type": "open"},
        ]

    def test_mia_submits_for_ana_with_a_reason(self, as_user, mia, ana, march):
        without = act(as_user(mia), ana, "submit")
        sheet = ok(act(as_user(mia), ana, "submit", json={"reason": "Ana is ill"}))

        assert refusal(without) == (422, "reason_required")
        assert (sheet["submitted_by"], sheet["status"]) == (mia.id, "submitted")

    def test_a_sole_admin_approves_by_submitting_because_nobody_else_could(self, admin, ada, march):
        sheet = ok(act(admin, ada, "submit"))
        reopened = ok(act(admin, ada, "reopen", json={"reason": "Forgot a day"}))

        assert (sheet["status"], sheet["decided_by"]) == ("approved", None)
        assert (reopened["status"], reopened["decided_by"]) == ("open", None)

    def test_an_api_token_of_the_sole_admin_submits_and_does_not_approve(self, server, admin, ada, march, anonymous):
        token = create_api_token(server.database, ada, "entries:write").token
        headers = {"Authorization": f"Bearer {token}"}

        submitted = ok(anonymous.post(sheet_path(ada, action="submit"), headers=headers))
        refused = anonymous.post(sheet_path(ada, action="approve"), headers=headers)
        approved = ok(act(admin, ada, "approve"))

        assert (submitted["status"], approved["status"]) == ("submitted", "approved")
        assert refusal(refused) == (403, "scope_required")

    def test_no_period_begins_in_the_middle_of_a_month_or_before_the_first_rule(self, as_user, ana, march):
        middle = act(as_user(ana), ana, "submit", "2026-03-02")
        before = act(as_user(ana), ana, "submit", "2025-12-01")

        assert refusal(middle) == refusal(before) == (404, "timesheet_not_found")

    def test_without_a_rule_there_are_no_timesheets(self, as_user, ana):
        days = {"start_date": "2026-03-01", "end_date": "2026-03-31"}

        assert as_user(ana).get("/timesheets/me", params=days).json() == []
        assert refusal(as_user(ana).get(sheet_path(ana))) == (404, "timesheet_not_found")


class TestDeciding:
    def test_mia_approves_and_the_history_says_so(self, as_user, mia, ana, approved):
        history = ok(as_user(ana).get(sheet_path(ana, action="history")))

        assert (approved["status"], approved["decided_by"], approved["comment"]) == ("approved", mia.id, "Thank you")
        assert [(item["action"], item["actor"]["first_name"]) for item in history] == [
            ("timesheet:submit", "Ana"),
            ("timesheet:approve", "Mia"),
        ]
        assert history[1]["reason"] == "Thank you"
        assert history[1]["after"]["digest"] == approved["digest"]

    def test_a_rejection_has_a_comment_and_unlocks_the_entries(self, as_user, mia, ana, submitted):
        without = act(as_user(mia), ana, "reject", json={})
        sheet = ok(act(as_user(mia), ana, "reject", json={"comment": "Tuesday is missing"}))
        entries = as_user(ana).get("/time-entries").json()

        assert without.status_code == 422
        assert (sheet["status"], sheet["comment"], sheet["digest"]) == ("rejected", "Tuesday is missing", None)
        assert {entry["timesheet_id"] for entry in entries} == {None}
        assert sheet["total_seconds"] == 5 * 3600

    def test_ana_withdraws_before_somebody_decides_and_not_afterwards(self, as_user, mia, ana, submitted):
        withdrawn = ok(act(as_user(ana), ana, "withdraw"))
        ok(act(as_user(ana), ana, "submit"))
        ok(act(as_user(mia), ana, "approve"))
        late = act(as_user(ana), ana, "withdraw")

        assert withdrawn["status"] == "open"
        assert refusal(late) == (409, "timesheet_status_conflict")
        assert late.json()["timesheet_status"] == "approved"

    def test_nobody_decides_on_their_own_timesheet(self, as_user, people, mia, march):
        people.admin("Otto")
        ok(act(as_user(mia), mia, "submit"))

        answers = [act(as_user(mia), mia, "approve"), act(as_user(mia), mia, "reject", json={"comment": "No"})]

        assert [refusal(answer) for answer in answers] == [(403, "own_timesheet")] * 2

    def test_mia_rejects_instead_of_withdrawing(self, as_user, mia, ana, submitted):
        assert refusal(act(as_user(mia), ana, "withdraw")) == (403, "not_your_timesheet")

    def test_bob_does_not_see_that_ana_has_a_timesheet(self, as_user, bob, ana, submitted):
        answers = [
            as_user(bob).get(sheet_path(ana)),
            as_user(bob).get(sheet_path(ana, action="history")),
            act(as_user(bob), ana, "approve"),
            act(as_user(bob), ana, "submit", json={"reason": "For her"}),
        ]

        assert [refusal(answer) for answer in answers] == [(404, "user_not_found")] * 4

    def test_a_decision_on_a_version_that_is_no_longer_there_is_refused(self, as_user, mia, ana, submitted):
        answer = act(as_user(mia), ana, "approve", headers={"If-Match": '"7"'})
        current = act(as_user(mia), ana, "approve", headers={"If-Match": '"1"'})

        assert refusal(answer) == (412, "timesheet_changed")
        assert answer.json()["version"] == 1
        assert current.status_code == 200
        assert current.headers["ETag"] == '"2"'

    def test_a_repeated_action_changes_nothing_and_says_which_status_it_found(self, as_user, mia, ana, march):
        """Its response may have been lost. So these actions need no Idempotency-Key."""
        texts = {"reject": {"comment": "Tuesday lacks"}, "reopen": {"reason": "Tuesday lacks"}}
        results = {}
        for action in ("submit", "withdraw", "submit", "reject", "submit", "approve", "reopen"):
            caller = as_user(ana if action in {"submit", "withdraw"} else mia)
            done = ok(act(caller, ana, action, json=texts.get(action, {})))
            repeated = act(caller, ana, action, json=texts.get(action, {}))
            assert refusal(repeated) == (409, "timesheet_status_conflict"), action
            results[action] = (done["status"], repeated.json()["timesheet_status"])

        statuses = {
            "submit": "submitted",
            "withdraw": "open",
            "reject": "rejected",
            "approve": "approved",
            "reopen": "open",
        }
        assert results == {action: (status, status) for action, status in statuses.items()}

    def test_can_names_what_each_of_them_may_do_now(self, as_user, mia, ana, admin, submitted):
        path = sheet_path(ana)

        assert as_user(ana).get(path).json()["can"] == ["withdraw"]
        assert as_user(mia).get(path).json()["can"] == ["approve", "reject"]
        ok(act(as_user(mia), ana, "approve"))
        assert as_user(ana).get(path).json()["can"] == []
        assert admin.get(path).json()["can"] == ["reopen"]


class TestLockedEntries:
    def test_nothing_in_a_submitted_month_changes(self, as_user, mia, ana, website, submitted, march):
        new = {"project_id": website.id, "start_time": "2026-03-04T08:00:00Z", "end_time": "2026-03-04T09:00:00Z"}
        for caller in (as_user(ana), as_user(mia)):
            answers = [
                caller.patch(f"/time-entries/{march[0]}", json={"description": "Other", "reason": "Typo"}),
                caller.delete(f"/time-entries/{march[0]}", params={"reason": "Twice"}),
                caller.post("/time-entries", json=new | {"user_id": ana.id, "reason": "Forgotten"}),
            ]

            assert [refusal(answer) for answer in answers] == [(409, "period_locked")] * 3
            facts = answers[0].json()
            assert (facts["first_day"], facts["last_day"]) == ("2026-03-01", "2026-03-31")
            assert facts["timesheet_status"] == "submitted"

    def test_an_entry_is_not_moved_into_or_out_of_a_locked_month(self, as_user, mia, people, ana, website, submitted):
        april = people.entry(ana, website, "2026-04-01 08:00", "2026-04-01 09:00")

        into = as_user(mia).patch(
            f"/time-entries/{april}", json={"start_time": "2026-03-31T23:30:00Z", "reason": "Began earlier"}
        )

        assert refusal(into) == (409, "period_locked")

    def test_a_bulk_request_names_every_locked_operation(self, as_user, mia, ana, submitted, march):
        operations = [{"action": "delete", "id": entry, "reason": "Twice"} for entry in march]

        answer = as_user(mia).post("/time-entries/bulk", json={"operations": operations})

        assert refusal(answer) == (409, "bulk_refused")
        assert [each["type"] for each in answer.json()["errors"]] == ["period_locked"] * 2

    def test_ana_corrects_an_old_month_that_was_rejected(self, as_user, mia, ana, submitted, march):
        path = f"/time-entries/{march[0]}"
        correction = {"end_time": "2026-03-02T13:00:00Z", "reason": "Stayed longer"}
        ok(act(as_user(ana), ana, "withdraw"))
        withdrawn = as_user(ana).patch(path, json=correction)
        ok(act(as_user(ana), ana, "submit"))
        ok(act(as_user(mia), ana, "reject", json={"comment": "You stayed longer"}))
        rejected = as_user(ana).patch(path, json=correction)
        sheet = ok(act(as_user(ana), ana, "submit"))

        assert refusal(withdrawn) == (403, "edit_window_closed")  # else Ana could open any old month by herself
        assert rejected.status_code == 200
        assert sheet["total_seconds"] == 6 * 3600

    def test_ana_goes_on_with_a_correction_that_she_submitted_too_early(self, as_user, mia, ana, submitted, march):
        ok(act(as_user(mia), ana, "reject", json={"comment": "You stayed longer"}))
        ok(act(as_user(ana), ana, "submit"))
        ok(act(as_user(ana), ana, "withdraw"))

        corrected = as_user(ana).patch(
            f"/time-entries/{march[0]}", json={"end_time": "2026-03-02T13:00:00Z", "reason": "Stayed longer"}
        )

        assert corrected.status_code == 200, corrected.text

    def test_ana_punches_while_her_months_are_locked(self, as_user, ana, website, submitted):
        began = as_user(ana).post("/time-entries/clock-in", json={"project_id": website.id})
        ended = as_user(ana).post("/time-entries/clock-out")

        assert (began.status_code, ended.status_code) == (200, 200)


class TestManyAtOnce:
    def test_mia_approves_several_or_none(self, as_user, mia, ana, submitted):
        keys = [{"user_id": ana.id, "first_day": "2026-03-01"}, {"user_id": ana.id, "first_day": "2026-02-01"}]
        refused = as_user(mia).post("/timesheets/approve", json={"timesheets": keys})
        untouched = as_user(mia).get(sheet_path(ana)).json()
        approved = ok(as_user(mia).post("/timesheets/approve", json={"timesheets": keys[:1], "comment": "Fine"}))

        assert refusal(refused) == (409, "bulk_refused")
        assert refused.json()["errors"] == [
            {
                "loc": ["body", "timesheets", 1],
                "message": "The timesheet is open, but it must be submitted. Read it again.",
                "type": "timesheet_status_conflict",
            }
        ]
        assert untouched["status"] == "submitted"
        assert [(sheet["status"], sheet["comment"]) for sheet in approved] == [("approved", "Fine")]

    def test_employees_approve_nothing(self, as_user, ana, submitted):
        keys = [{"user_id": ana.id, "first_day": "2026-03-01"}]

        assert refusal(as_user(ana).post("/timesheets/approve", json={"timesheets": keys})) == (403, "role_required")


class TestLists:
    def test_ana_sees_every_month_that_touches_the_days(self, as_user, ana, submitted):
        days = {"start_date": "2026-02-28", "end_date": "2026-04-01"}
        sheets = ok(as_user(ana).get("/timesheets/me", params=days))

        assert [(sheet["first_day"], sheet["status"]) for sheet in sheets] == [
            ("2026-04-01", "open"),
            ("2026-03-01", "submitted"),
            ("2026-02-01", "open"),
        ]

    def test_mia_sees_who_waits_longest_first_and_not_herself(self, as_user, people, mia, ana, website, submitted):
        ok(act(as_user(mia), mia, "submit"))
        ben = people.employee("Ben", manager=mia)
        ok(act(as_user(ben), ben, "submit", "2026-01-01"))
        first = as_user(mia).get("/timesheets", params={"status": "submitted", "limit": 1})
        second = as_user(mia).get(f"/timesheets?{first.links['next']['url'].partition('?')[2]}")

        assert [sheet["user_name"] for sheet in first.json() + second.json()] == ["Ana Silva", "Ben Silva"]
        assert "next" not in second.links

    def test_an_admin_sees_all_with_include_indirect(self, admin, ana, submitted):
        assert admin.get("/timesheets").json() == []
        assert [sheet["user_id"] for sheet in admin.get("/timesheets?include_indirect=true").json()] == [ana.id]


class TestPresentDay:
    def test_a_time_zone_in_which_today_is_locked_is_refused(self, as_user, people, admin):
        """Kim, in Kiritimati, submits yesterday's day-long week where it is still yesterday in Honolulu."""
        kim = people.employee("Kim", time_zone="Pacific/Kiritimati")
        yesterday = (utc_now() + timedelta(hours=14)).date() - timedelta(days=1)
        first_day = yesterday - timedelta(days=6)
        assert admin.put(f"/admin/timesheet-rules/{first_day}", json={"period": "week"}).status_code == 200
        ok(act(as_user(kim), kim, "submit", str(first_day)))

        own = as_user(kim).patch("/auth/me", json={"time_zone": "Pacific/Honolulu"})
        by_admin = admin.patch(f"/admin/users/{kim.id}", json={"time_zone": "Pacific/Honolulu"})
        ahead = as_user(kim).patch("/auth/me", json={"time_zone": "Pacific/Apia"})

        assert refusal(own) == refusal(by_admin) == (409, "timesheet_locked")
        assert ahead.status_code == 200

    def test_a_time_zone_in_which_a_locked_week_has_not_begun_is_refused(self, as_user, people, admin):
        """Kim left. The week that has begun in Kiritimati is submitted, and would begin in Pago Pago after a return."""
        kim = people.employee("Kim", time_zone="Pacific/Kiritimati")
        first_day = str((utc_now() + timedelta(hours=14)).date())
        assert admin.put(f"/admin/timesheet-rules/{first_day}", json={"period": "week"}).status_code == 200
        assert admin.put(f"/admin/users/{kim.id}/deactivate").status_code == 200
        ok(act(admin, kim, "submit", first_day, json={"reason": "Left"}))

        moved = admin.patch(f"/admin/users/{kim.id}", json={"time_zone": "Pacific/Pago_Pago"})

        assert refusal(moved) == (409, "timesheet_locked")

    def test_somebody_whose_present_month_was_submitted_is_not_activated(self, admin, ana, as_user, mia, monthly):
        this_month = str(utc_now().date().replace(day=1))
        assert admin.put(f"/admin/users/{ana.id}/deactivate").status_code == 200
        ok(act(as_user(mia), ana, "submit", this_month, json={"reason": "Left"}))

        refused = admin.put(f"/admin/users/{ana.id}/activate")
        ok(act(as_user(mia), ana, "reject", this_month, json={"comment": "Came back"}))
        activated = admin.put(f"/admin/users/{ana.id}/activate")

        assert refusal(refused) == (409, "timesheet_locked")
        assert activated.status_code == 200
