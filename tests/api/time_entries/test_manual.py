"""Manual entries and corrections (rules: E2, E3, E5, E6, E7, V1)."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from app.schemas.time_entries.manual import TimeEntryCreate
from app.services.time_entries import manual
from app.services.time_entries.errors import EditWindowClosed
from tests.support.audit_asserts import AuditLog
from tests.support.credentials import create_claims
from tests.support.databases import settings_for
from tests.support.in_process_server import run_server
from tests.support.times import NOW, hours_ago, hours_ago_utc, refusal, two_hour_entry


@pytest.fixture
def ana(people, mia):
    return people.employee("Ana", manager=mia, time_zone="Europe/Berlin")


@pytest.fixture
def manual_entry(as_user, ana, website):
    """A manual entry of Ana, two hours long."""
    return as_user(ana).post("/time-entries", json=two_hour_entry(website, description="Landing page")).json()


class TestEntering:
    def test_ana_enters_what_she_forgot_to_clock(self, as_user, ana, website):
        body = two_hour_entry(website, description="Landing page")

        response = as_user(ana).post("/time-entries", json=body)
        entry = response.json()

        assert response.status_code == 201
        assert response.headers["ETag"] == '"1"'
        assert {name: entry[name] for name in body} == body
        assert (entry["user_id"], entry["time_zone"], entry["version"]) == (ana.id, "Europe/Berlin", 1)
        assert as_user(ana).get(f"/time-entries/{entry['id']}").json() == entry | {
            "project": project_of(as_user(ana)),
            "can": ["change", "delete"],
        }

    def test_an_offset_and_a_fraction_become_a_whole_utc_second(self, as_user, ana, website):
        start, end = NOW - timedelta(hours=30), hours_ago(29)
        in_berlin = start.replace(microsecond=987_000).astimezone(ZoneInfo("Europe/Berlin")).isoformat()
        times = {"start_time": in_berlin, "end_time": end.replace("Z", ".5Z")}

        entry = as_user(ana).post("/time-entries", json={"project_id": website.id} | times).json()

        assert (entry["start_time"], entry["end_time"]) == (hours_ago(30), end)

    def test_a_second_is_enough_and_nothing_is_not(self, as_user, ana, website):
        start = {"project_id": website.id, "start_time": hours_ago(3)}

        empty = as_user(ana).post("/time-entries", json=start | {"end_time": start["start_time"]})
        reversed_ = as_user(ana).post("/time-entries", json=start | {"end_time": hours_ago(4)})
        shortest = as_user(ana).post("/time-entries", json=start | {"end_time": hours_ago(3, seconds=-1)})

        assert refusal(empty) == refusal(reversed_) == (422, "entry_too_short")
        assert shortest.status_code == 201

    def test_nobody_enters_the_future(self, as_user, ana, website):
        tomorrow = as_user(ana).post("/time-entries", json=two_hour_entry(website, days=-1))
        into = as_user(ana).post("/time-entries", json=two_hour_entry(website) | {"end_time": hours_ago(-1)})

        assert refusal(tomorrow) == refusal(into) == (422, "entry_in_future")

    def test_an_entry_lasts_a_day_at_most(self, as_user, ana, website):
        end = {"project_id": website.id, "end_time": hours_ago(30)}

        longest = as_user(ana).post("/time-entries", json=end | {"start_time": hours_ago(54)})
        longer = as_user(ana).post("/time-entries", json=end | {"start_time": hours_ago(54, seconds=1)})

        assert refusal(longer) == (422, "entry_too_long")
        assert longest.status_code == 201

    def test_an_overlap_is_refused_and_names_the_entry_in_the_way(self, as_user, ana, website, manual_entry):
        repeated = as_user(ana).post("/time-entries", json=two_hour_entry(website))

        assert refusal(repeated) == (409, "entry_overlaps")
        assert repeated.json()["entry_id"] == manual_entry["id"]
        assert manual_entry["start_time"] in repeated.json()["detail"]

    def test_the_entry_that_runs_is_in_the_way_of_what_ends_behind_its_start(self, people, as_user, ana, website):
        run_server = people.entry(ana, website, hours_ago_utc(4), None)
        start = {"project_id": website.id, "start_time": hours_ago(5)}

        into = as_user(ana).post("/time-entries", json=start | {"end_time": hours_ago(3)})
        up_to = as_user(ana).post("/time-entries", json=start | {"end_time": hours_ago(4)})

        assert (into.json()["entry_id"], up_to.status_code) == (run_server, 201)

    def test_entries_touch_without_overlapping(self, as_user, ana, website, manual_entry):
        before = {"project_id": website.id, "start_time": hours_ago(25), "end_time": manual_entry["start_time"]}
        behind = {"project_id": website.id, "start_time": manual_entry["end_time"], "end_time": hours_ago(21)}

        responses = [as_user(ana).post("/time-entries", json=body) for body in (before, behind)]

        assert [response.status_code for response in responses] == [201, 201]

    def test_only_what_the_person_may_book(self, people, as_user, ana, bob):
        secret, old = people.project("Secret", members=(bob,)), people.project("Old", is_active=False)

        responses = [as_user(ana).post("/time-entries", json=two_hour_entry(project)) for project in (secret, old)]

        assert [refusal(response) for response in responses] == [(404, "project_not_found"), (409, "project_inactive")]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"start_time": 1_700_000_000},
            {"start_time": "1700000000"},
            {"start_time": "2026-03-02T08:00:00"},
            {"start_time": "2026-03-02"},
            {"start_time": "1999-12-31T23:59:59Z"},
            {"end_time": "2100-01-01T00:00:01Z"},
            {"end_time": "9999-12-31T23:59:59-23:59"},
            {"end_time": None},
            {"reason": " "},
            {"id": 777},
            {"version": 7},
            {"needs_review": False},
            {"description": "a\x00b"},
        ],
        ids=str,
    )
    def test_what_can_not_be_meant_is_refused(self, as_user, ana, website, wrong):
        assert as_user(ana).post("/time-entries", json=two_hour_entry(website) | wrong).status_code == 422


class TestFirstDay:
    """Periods of reports begin on 2000-01-01, a local day. So entries do too."""

    @pytest.mark.parametrize(
        ("zone", "first_instant", "day_before"),
        [
            ("Pacific/Kiritimati", "1999-12-31T10:00:00Z", "1999-12-31T09:59:59Z"),
            ("UTC", "2000-01-01T00:00:00Z", "1999-12-31T23:59:59Z"),
            ("America/New_York", "2000-01-01T05:00:00Z", "2000-01-01T00:30:00Z"),
        ],
    )
    def test_an_entry_can_start_on_it_in_any_zone_and_not_before(
        self, people, as_user, admin, mia, website, zone, first_instant, day_before
    ):
        ina = people.employee("Ina", manager=mia, time_zone=zone)
        body = two_hour_entry(website, user_id=ina.id, reason="From the old system", end_time="2000-01-01T06:00:00Z")

        early = admin.post("/time-entries", json=body | {"start_time": day_before})
        recorded = admin.post("/time-entries", json=body | {"start_time": first_instant})
        moved = admin.patch(f"/time-entries/{recorded.json()['id']}", json={"start_time": day_before, "reason": "Typo"})

        assert refusal(early)[0] == refusal(moved)[0] == 422
        assert {refusal(early)[1], refusal(moved)[1]} <= {"entry_too_early", "validation_failed"}
        assert recorded.status_code == 201, recorded.text
        first_day = {"start_date": "2000-01-01", "end_date": "2000-01-01"}
        for attribution in ("start", "split"):
            line = as_user(mia).get("/reports/export/csv", params=first_day | {"attribution": attribution}).text
            assert ",2000-01-01,00:00:00," in line
            (own,) = as_user(ina).get("/time-entries/me", params=first_day | {"attribution": attribution}).json()
            assert own["start_time"] == first_instant


class TestForOthers:
    def test_a_manager_enters_time_for_her_team_and_says_why(self, as_user, mia, ana, website):
        body = two_hour_entry(website, user_id=ana.id)

        silent = as_user(mia).post("/time-entries", json=body)
        spoken = as_user(mia).post("/time-entries", json=body | {"reason": "Her terminal was broken"})

        assert refusal(silent) == (422, "reason_required")
        assert (spoken.status_code, spoken.json()["user_id"]) == (201, ana.id)
        assert spoken.json()["time_zone"] == "Europe/Berlin", "the time zone is the owner's, not the manager's"

    def test_nobody_enters_time_for_whom_they_do_not_see(self, as_user, mia, ana, bob, website):
        body = two_hour_entry(website, reason="Because")

        colleague = as_user(ana).post("/time-entries", json=body | {"user_id": bob.id})
        other_team = as_user(mia).post("/time-entries", json=body | {"user_id": bob.id})
        missing = as_user(mia).post("/time-entries", json=body | {"user_id": 2_000_000_000})

        assert refusal(colleague) == refusal(other_team) == refusal(missing) == (404, "user_not_found")

    def test_an_admin_enters_time_for_anyone_on_what_that_person_may_book(self, people, as_user, ada, ana, bob):
        secret = people.project("Secret", members=(bob,))
        body = two_hour_entry(secret, reason="On paper until now")

        for_bob = as_user(ada).post("/time-entries", json=body | {"user_id": bob.id})
        for_ana = as_user(ada).post("/time-entries", json=body | {"user_id": ana.id})

        assert for_bob.status_code == 201
        assert refusal(for_ana) == (404, "project_not_found")

    def test_a_change_of_anothers_entry_needs_a_reason_whatever_it_changes(self, as_user, mia, manual_entry):
        silent = as_user(mia).patch(f"/time-entries/{manual_entry['id']}", json={"description": "Shop"})
        spoken = as_user(mia).patch(
            f"/time-entries/{manual_entry['id']}", json={"description": "Shop", "reason": "Wrong text"}
        )

        assert refusal(silent) == (422, "reason_required")
        assert spoken.json()["description"] == "Shop"


class TestCorrecting:
    def test_a_forgotten_clock_out_is_one_call(self, people, as_user, ana, website):
        people.entry(ana, website, hours_ago_utc(20), None)
        me = as_user(ana)
        forgotten = me.get("/time-entries/current").json()
        body = {"end_time": hours_ago(12), "reason": "Forgot to clock out"}

        corrected = me.patch(f"/time-entries/{forgotten['id']}", json=body).json()

        assert forgotten["needs_review"]
        assert (corrected["end_time"], corrected["needs_review"]) == (body["end_time"], False)
        assert me.get("/time-entries/current").status_code == 204

    def test_recorded_times_change_for_a_reason_and_other_things_without(self, people, as_user, ana, manual_entry):
        shop = people.project("Shop")
        address = f"/time-entries/{manual_entry['id']}"

        texts = as_user(ana).patch(address, json={"description": "Shop page", "project_id": shop.id})
        silent = as_user(ana).patch(address, json={"start_time": hours_ago(25)})
        spoken = as_user(ana).patch(address, json={"start_time": hours_ago(25), "reason": "Came earlier"})

        assert (texts.status_code, texts.json()["version"], texts.headers["ETag"]) == (200, 2, '"2"')
        assert refusal(silent) == (422, "reason_required")
        assert (spoken.json()["version"], spoken.json()["project_id"]) == (3, shop.id)

    def test_what_changes_nothing_makes_no_version_and_no_event(self, as_user, server, ana, manual_entry):
        audit_log = AuditLog(server.database)
        same = {
            name: manual_entry[name] for name in ("project_id", "start_time", "end_time", "description", "needs_review")
        }

        responses = [
            as_user(ana).patch(f"/time-entries/{manual_entry['id']}", json=body) for body in (same, {}, {"reason": "?"})
        ]

        assert [response.json() for response in responses] == [manual_entry] * 3
        assert audit_log.new_events() == []

    def test_no_correction_makes_entries_overlap(self, as_user, ana, website, manual_entry):
        earlier = {"project_id": website.id, "start_time": hours_ago(30), "end_time": hours_ago(28)}
        other = as_user(ana).post("/time-entries", json=earlier).json()

        moved = as_user(ana).patch(
            f"/time-entries/{other['id']}", json={"end_time": hours_ago(23), "reason": "Stayed longer"}
        )

        assert refusal(moved) == (409, "entry_overlaps")
        assert moved.json()["entry_id"] == manual_entry["id"]

    def test_times_are_judged_with_those_that_stay(self, as_user, ana, manual_entry):
        address = f"/time-entries/{manual_entry['id']}"
        changes = [{"end_time": hours_ago(25)}, {"start_time": hours_ago(-1)}, {"start_time": hours_ago(50)}]

        responses = [as_user(ana).patch(address, json=change | {"reason": "Typo"}) for change in changes]

        assert [refusal(response) for response in responses] == [
            (422, "entry_too_short"),
            (422, "entry_in_future"),
            (422, "entry_too_long"),
        ]
        assert as_user(ana).get(address).json()["version"] == 1

    def test_a_person_confirms_what_was_flagged(self, people, as_user, ana, website):
        flagged = people.entry(ana, website, hours_ago_utc(60), hours_ago_utc(42.5), needs_review=True)

        confirmed = as_user(ana).patch(f"/time-entries/{flagged}", json={"needs_review": False}).json()

        assert (confirmed["needs_review"], confirmed["version"]) == (False, 2)
        assert confirmed["end_time"] == hours_ago(42.5)

    def test_another_text_does_not_confirm(self, people, as_user, ana, website):
        flagged = people.entry(ana, website, hours_ago_utc(60), hours_ago_utc(42.5), needs_review=True)

        changed = as_user(ana).patch(f"/time-entries/{flagged}", json={"description": "Fair in Lisbon"}).json()

        assert changed["needs_review"]

    def test_what_still_runs_can_not_be_confirmed(self, people, as_user, ana, website):
        forgotten = people.entry(ana, website, hours_ago_utc(40), None)

        confirmed = as_user(ana).patch(f"/time-entries/{forgotten}", json={"needs_review": False})

        assert refusal(confirmed) == (409, "entry_still_open")

    def test_another_start_does_not_confirm_what_still_runs_for_too_long(self, people, as_user, ana, website):
        address = f"/time-entries/{people.entry(ana, website, hours_ago_utc(20), None)}"
        confirmation = {"needs_review": False, "reason": "Came later"}

        still_too_long = as_user(ana).patch(address, json=confirmation | {"start_time": hours_ago(19)})
        not_any_more = as_user(ana).patch(address, json=confirmation | {"start_time": hours_ago(5)})

        assert refusal(still_too_long) == (409, "entry_still_open")
        assert (not_any_more.status_code, not_any_more.json()["needs_review"]) == (200, False)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"end_time": None},
            {"user_id": 1},
            {"needs_review": True},
            {"needs_review": 0},
            {"version": 9},
            {"time_zone": "UTC"},
        ],
        ids=str,
    )
    def test_an_entry_is_neither_reopened_nor_given_away(self, as_user, ana, manual_entry, wrong):
        """Covers threats 3, 6, 7."""
        response = as_user(ana).patch(f"/time-entries/{manual_entry['id']}", json=wrong | {"reason": "Because"})

        assert response.status_code == 422
        assert as_user(ana).get(f"/time-entries/{manual_entry['id']}").json()["version"] == 1


class TestTheWindow:
    @pytest.fixture
    def old(self, people, ana, website):
        """An entry of Ana from 32 days ago."""
        return people.entry(ana, website, hours_ago_utc(32 * 24), hours_ago_utc(32 * 24 - 2))

    def test_people_change_their_own_time_for_31_days_back(self, as_user, ana, website, old):
        me = as_user(ana)

        rejected = [
            me.post(
                "/time-entries", json=two_hour_entry(website, days=31, description="") | {"start_time": hours_ago(745)}
            ),
            me.patch(f"/time-entries/{old}", json={"description": "Shop"}),
            me.delete(f"/time-entries/{old}", params={"reason": "Never was"}),
        ]
        times = {"start_time": hours_ago(740), "end_time": hours_ago(738)}
        recent = me.post("/time-entries", json={"project_id": website.id} | times).json()
        rejected.append(
            me.patch(f"/time-entries/{recent['id']}", json={"start_time": hours_ago(745), "reason": "Earlier"})
        )

        assert [refusal(response) for response in rejected] == [(403, "edit_window_closed")] * 4

    def test_the_window_ends_after_31_days_to_the_second(self, database, ana, website):
        claims = create_claims(database, ana)
        times = {"start_time": hours_ago(31 * 24), "end_time": hours_ago(31 * 24 - 2)}
        body = TimeEntryCreate(project_id=website.id, description="", **times)

        with pytest.raises(EditWindowClosed), database.write_transaction() as session:
            manual.create_entry(session, claims, body, key=None, at=NOW + timedelta(seconds=1))
        with database.write_transaction() as session:
            assert manual.create_entry(session, claims, body, key=None, at=NOW).user_id == ana.id

    def test_managers_correct_their_teams_however_old(self, as_user, mia, old):
        changed = as_user(mia).patch(f"/time-entries/{old}", json={"description": "Shop", "reason": "Invoice"})

        assert changed.status_code == 200

    def test_a_managers_own_time_has_the_window_too(self, people, as_user, mia, website):
        own = people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 10:00")

        changed = as_user(mia).patch(f"/time-entries/{own}", json={"description": "Shop"})

        assert refusal(changed) == (403, "edit_window_closed")

    def test_admins_have_none(self, people, as_user, ada, website, old):
        own = people.entry(ada, website, "2026-03-02 08:00", "2026-03-02 10:00")
        body = {"description": "Shop", "reason": "Audit of March"}

        responses = [as_user(ada).patch(f"/time-entries/{each}", json=body) for each in (old, own)]

        assert [response.status_code for response in responses] == [200, 200]

    def test_its_length_is_the_operators_choice(self, db_url, people, server, ana, website, old):
        with (
            run_server(settings_for(db_url, EDIT_WINDOW_DAYS=33)) as generous,
            generous.caller(server.token(ana)) as me,
        ):
            changed = me.patch(f"/time-entries/{old}", json={"description": "Shop"})

        assert changed.status_code == 200


class TestDeleting:
    def test_an_entry_is_deleted_for_a_reason_and_its_history_stays(self, as_user, mia, ana, bob, manual_entry):
        address = f"/time-entries/{manual_entry['id']}"
        silent = as_user(ana).delete(address)
        deleted = as_user(ana).delete(address, params={"reason": "Entered twice"})

        assert (silent.status_code, deleted.status_code) == (422, 204)
        assert refusal(as_user(ana).get(address)) == (404, "entry_not_found")
        for user in (ana, mia):
            *_, last = as_user(user).get(f"{address}/history").json()
            assert (last["action"], last["reason"], last["after"]) == ("time_entry:delete", "Entered twice", None)
            assert last["before"]["start_time"] == manual_entry["start_time"]
        assert refusal(as_user(bob).get(f"{address}/history")) == (404, "entry_not_found")

    def test_its_id_is_never_given_again(self, as_user, ana, website, manual_entry):
        as_user(ana).delete(f"/time-entries/{manual_entry['id']}", params={"reason": "Entered twice"})

        repeated = as_user(ana).post("/time-entries", json=two_hour_entry(website)).json()

        assert repeated["id"] > manual_entry["id"]


class TestHistory:
    def test_it_says_who_when_what_and_why(self, as_user, mia, ana, manual_entry):
        address = f"/time-entries/{manual_entry['id']}"
        as_user(mia).patch(address, json={"end_time": hours_ago(21), "reason": "Stayed for the call"})

        created, changed = as_user(ana).get(f"{address}/history").json()

        assert created["actor"] == {"id": ana.id, "first_name": "Ana", "last_name": "Silva"}
        assert (created["action"], created["before"]) == ("time_entry:create", None)
        assert created["after"]["end_time"] == manual_entry["end_time"]
        assert changed["actor"]["first_name"] == "Mia"
        assert changed["before"] == {"end_time": manual_entry["end_time"], "version": 1}
        assert changed["after"]["version"] == 2
        assert (changed["reason"], changed["action"]) == ("Stayed for the call", "time_entry:change")

    def test_a_punch_has_one_too(self, people, as_user, ana, website):
        started = as_user(ana).clock_in(website.id).json()
        as_user(ana).clock_out()

        history = as_user(ana).get(f"/time-entries/{started['id']}/history").json()

        assert [item["action"] for item in history] == ["time_entry:clock_in", "time_entry:clock_out"]

    def test_scope_is_todays_team(self, people, as_user, ada, mia, ana, manual_entry):
        """Covers threat 4."""
        max_ = people.manager("Max")
        as_user(ada).put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": max_.id})
        address = f"/time-entries/{manual_entry['id']}"

        for ask in (
            lambda caller: caller.get(address),
            lambda caller: caller.get(f"{address}/history"),
            lambda caller: caller.patch(address, json={"description": "x", "reason": "y"}),
            lambda caller: caller.delete(address, params={"reason": "y"}),
        ):
            assert refusal(ask(as_user(mia))) == (404, "entry_not_found")
        assert as_user(max_).get(address).status_code == 200


class TestVersions:
    def test_a_change_meant_for_an_older_version_is_refused_with_the_present_tag(self, as_user, mia, ana, manual_entry):
        address = f"/time-entries/{manual_entry['id']}"
        seen = as_user(ana).get(address).headers["ETag"]
        as_user(mia).patch(address, json={"description": "Mia's", "reason": "Typo"})

        stale = as_user(ana).patch(address, json={"description": "Ana's"}, headers={"If-Match": seen})
        fresh = as_user(ana).patch(address, json={"description": "Ana's"}, headers={"If-Match": stale.headers["ETag"]})

        assert (seen, *refusal(stale), stale.headers["ETag"]) == ('"1"', 412, "entry_changed", '"2"')
        assert stale.json()["version"] == 2
        assert (fresh.status_code, fresh.headers["ETag"]) == (200, '"3"')

    @pytest.mark.parametrize(
        ("tags", "status"),
        [
            ("*", 200),
            ('"1"', 200),
            ('"7", "1"', 200),
            ('"7"', 412),
            ('W/"1"', 200),  # as nginx passes on the tag of a response that it compresses
            ('W/"7", W/"1"', 200),
            ('W/"7"', 412),
            ('"1-gzip"', 200),  # as Apache and Caddy pass it on, and Jetty in the next line
            ('W/"1--gzip"', 200),
            ('"7-br", "1-zstd"', 200),
            ('"7-gzip"', 412),
            ('"1-2"', 412),
            ('"abc"', 412),
            ('"99999999999999999999"', 412),
            ('"٣"', 412),
            ("1", 412),
            ("", 412),
        ],
    )
    def test_a_change_is_meant_for_any_of_the_versions_in_if_match_as_proxies_pass_them_on(
        self, as_user, ana, manual_entry, tags, status
    ):
        headers = {"If-Match": tags.encode()}
        response = as_user(ana).patch(
            f"/time-entries/{manual_entry['id']}", json={"description": "New"}, headers=headers
        )

        assert response.status_code == status

    def test_a_deletion_can_be_meant_for_one_version_too(self, as_user, ana, manual_entry):
        address = f"/time-entries/{manual_entry['id']}"
        reason = {"reason": "Entered twice"}

        stale = as_user(ana).delete(address, params=reason, headers={"If-Match": '"2"'})
        fresh = as_user(ana).delete(address, params=reason, headers={"If-Match": '"1"'})

        assert (refusal(stale), fresh.status_code) == ((412, "entry_changed"), 204)

    def test_every_single_entry_has_its_tag(self, as_user, ana, website):
        me = as_user(ana)
        started = me.clock_in(website.id)
        current = me.get("/time-entries/current")
        ended = me.clock_out()

        assert [response.headers["ETag"] for response in (started, current, ended)] == ['"1"', '"1"', '"2"']


def project_of(caller):
    (project,) = caller.get("/projects").json()
    return project
