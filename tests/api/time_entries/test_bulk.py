"""Bulk corrections: all or none, with the rules of single corrections (rules: E2, E3, E6, E7, E8)."""

import pytest
from sqlalchemy import select

from app.models.tables import ENTRY
from app.services.audit.verification import verify
from tests.support.audit_asserts import AuditLog
from tests.support.times import hour_entry, hours_ago, hours_ago_utc, refusal, two_hour_entry

REJECTED = (409, "bulk_refused")


def bulk(caller, *operations, key=None):
    headers = {} if key is None else {"Idempotency-Key": key}
    return caller.post("/time-entries/bulk", json={"operations": list(operations)}, headers=headers)


def create(body):
    return {"action": "create"} | body


def change(entry_id, **changes):
    return {"action": "change", "id": entry_id} | changes


def delete(entry_id, **more):
    return {"action": "delete", "id": entry_id, "reason": "Never was"} | more


def errors_of(response):
    """Return the index and the error code of each rejected operation."""
    errors = response.json()["errors"]
    assert all(each["loc"][:2] == ["body", "operations"] and each["message"] for each in errors)
    return [(each["loc"][2], each["type"]) for each in errors]


def entries_in(database):
    with database.read_transaction() as session:
        return session.execute(select(ENTRY).order_by(ENTRY.c.id)).all()


@pytest.fixture
def ana(people, mia):
    return people.employee("Ana", manager=mia, time_zone="Europe/Berlin")


@pytest.fixture
def manual_entries(as_user, ana, website):
    """Three manual entries of Ana, one hour each."""
    response = bulk(as_user(ana), *(create(hour_entry(website, number)) for number in range(3)))
    return [result["entry"] for result in response.json()["results"]]


class TestAllOfThem:
    def test_a_manager_mends_a_month_of_her_team_in_one_call(self, server, people, as_user, mia, ana, website):
        bea, why = people.employee("Bea", manager=mia), "Terminal broken"
        team = [ana.id, bea.id]
        for user in team:
            old = [create(hour_entry(website, number, user_id=user, reason=why)) for number in range(150)]
            assert bulk(as_user(mia), *old).status_code == 200
        before = entries_in(server.database)
        audit_log = AuditLog(server.database)
        operations = []
        for number in range(100):
            operations += [
                change(before[number].id, description=f"Mended {number}", reason=why),
                delete(before[150 + number].id),
                create(hour_entry(website, 200 + number, user_id=team[number % 2], reason=why)),
                change(before[100 + number if number < 50 else 200 + number].id, description="Mended", reason=why),
                create(hour_entry(website, 400 + number, description="Mine")),
            ]

        response = bulk(as_user(mia), *operations)

        assert (response.status_code, len(operations)) == (200, 500)
        results = response.json()["results"]
        assert [result["action"] for result in results] == [each["action"] for each in operations]
        ids = [each["id"] for each in operations if "id" in each]
        assert [result["id"] for result, each in zip(results, operations, strict=True) if "id" in each] == ids
        assert all((result["entry"] is None) == (result["action"] == "delete") for result in results)
        after = {row.id: row for row in entries_in(server.database)}
        assert len(after) == 300 + 200 - 100
        assert all(after[before[number].id].description == f"Mended {number}" for number in range(100))
        assert all(after[before[number].id].version == 2 for number in (*range(150), *range(250, 300)))
        events = audit_log.new_events()
        assert len(events) == 500
        assert {event.actor_id for event in events} == {mia.id}
        assert len({event.request_id for event in events}) == 1
        with server.database.read_transaction() as session:
            verify(session, [], on_progress=lambda done, total: None)

    def test_results_come_in_the_order_of_the_operations(self, as_user, ana, website, manual_entries):
        first, second, third = manual_entries

        response = bulk(
            as_user(ana),
            delete(third["id"]),
            create(hour_entry(website, 9, description="New")),
            change(first["id"], description="Shop"),
        )

        deleted, created, changed = response.json()["results"]
        assert deleted == {"action": "delete", "id": third["id"], "entry": None}
        assert (created["id"], created["entry"]["description"]) == (created["entry"]["id"], "New")
        assert (created["entry"]["time_zone"], created["entry"]["version"]) == ("Europe/Berlin", 1)
        assert {**changed["entry"], "updated_at": ""} == {
            **first,
            "description": "Shop",
            "version": 2,
            "updated_at": "",
        }
        assert as_user(ana).get(f"/time-entries/{second['id']}").json()["version"] == 1

    def test_each_operation_has_its_place_in_the_history(self, server, as_user, ana, website, manual_entries):
        audit_log = AuditLog(server.database)

        response = bulk(
            as_user(ana),
            change(manual_entries[0]["id"], end_time=hours_ago(24.5), reason="Left earlier"),
            delete(manual_entries[1]["id"], reason="Entered twice"),
            create(hour_entry(website, 9)),
        )

        assert [(event.action, event.object_id, event.reason) for event in audit_log.new_events()] == [
            ("time_entry:change", manual_entries[0]["id"], "Left earlier"),
            ("time_entry:delete", manual_entries[1]["id"], "Entered twice"),
            ("time_entry:create", response.json()["results"][2]["id"], None),
        ]
        history = as_user(ana).get(f"/time-entries/{manual_entries[0]['id']}/history").json()
        assert [item["action"] for item in history] == ["time_entry:create", "time_entry:change"]

    def test_an_entry_is_in_one_operation_at_most(self, server, as_user, ana, manual_entries):
        entry_id = manual_entries[0]["id"]
        before = entries_in(server.database)

        for second in (change(entry_id, description="Shop page"), delete(entry_id)):
            response = bulk(as_user(ana), change(entry_id, description="Shop"), second)

            assert refusal(response) == (422, "validation_failed")
            assert f"Entry {entry_id} is in more than one operation" in response.json()["errors"][0]["message"]
        assert entries_in(server.database) == before

    def test_a_change_without_a_difference_is_not_recorded_and_its_entry_not_returned(
        self, server, as_user, ana, manual_entries
    ):
        audit_log = AuditLog(server.database)

        response = bulk(as_user(ana), change(manual_entries[0]["id"], description=manual_entries[0]["description"]))

        assert response.json()["results"] == [{"action": "change", "id": manual_entries[0]["id"], "entry": None}]
        assert audit_log.new_events() == []

    def test_it_is_sent_again_without_being_done_again(self, server, as_user, ana, website, manual_entries):
        operations = [
            delete(manual_entries[0]["id"], version=1),
            change(manual_entries[1]["id"], version=1, description="Shop"),
            create(hour_entry(website, 9)),
        ]
        audit_log = AuditLog(server.database)

        first, repeated = (bulk(as_user(ana), *operations, key="k-1") for _ in range(2))

        assert (first.status_code, repeated.status_code) == (200, 200)
        assert repeated.content == first.content
        assert len(audit_log.new_events()) == 3

    def test_a_retry_returns_the_entries_as_they_are_now(self, as_user, ana, website, manual_entries):
        first, second, third = (entry["id"] for entry in manual_entries)
        same = manual_entries[2]["description"]
        operations = [change(first, description="Shop"), delete(second), change(third, description=same)]
        created = bulk(as_user(ana), *operations, create(hour_entry(website, 9)), key="k-1").json()["results"][3]["id"]
        as_user(ana).patch(f"/time-entries/{first}", json={"description": "Shop page"})
        as_user(ana).delete(f"/time-entries/{created}", params={"reason": "Never was"})

        retry = bulk(as_user(ana), *operations, create(hour_entry(website, 9)), key="k-1").json()["results"]

        assert [result["id"] for result in retry] == [first, second, third, created]
        assert (retry[0]["entry"]["description"], retry[0]["entry"]["version"]) == ("Shop page", 3)
        assert [result["entry"] for result in retry[1:]] == [None, None, None]

    def test_without_a_key_a_second_time_is_refused(self, as_user, ana, website, manual_entries):
        operations = [delete(manual_entries[0]["id"]), create(hour_entry(website, 9))]
        bulk(as_user(ana), *operations)

        assert errors_of(bulk(as_user(ana), *operations)) == [(0, "entry_not_found"), (1, "entry_overlaps")]


class TestOrder:
    def test_what_is_deleted_first_makes_room(self, as_user, ana, website, manual_entries):
        response = bulk(as_user(ana), delete(manual_entries[0]["id"]), create(hour_entry(website, 0)))

        assert response.status_code == 200

    def test_what_is_deleted_afterwards_does_not(self, as_user, ana, website, manual_entries):
        response = bulk(as_user(ana), create(hour_entry(website, 0)), delete(manual_entries[0]["id"]))

        assert (refusal(response), errors_of(response)) == (REJECTED, [(0, "entry_overlaps")])

    def test_what_is_moved_away_makes_room_and_fills_it(self, as_user, ana, website, manual_entries):
        away = {"start_time": hours_ago(40), "end_time": hours_ago(39), "reason": "Other day"}

        response = bulk(
            as_user(ana),
            change(manual_entries[0]["id"], **away),
            create(hour_entry(website, 0)),
            create(hour_entry(website, 0) | {"start_time": hours_ago(40), "end_time": hours_ago(39)}),
        )

        assert errors_of(response) == [(2, "entry_overlaps")]


class TestNoneOfThem:
    @pytest.mark.parametrize("place", [0, 2, 4])
    def test_one_that_is_refused_undoes_all(self, server, as_user, ana, website, manual_entries, place):
        good = [
            change(manual_entries[0]["id"], description="Shop"),
            delete(manual_entries[1]["id"]),
            create(hour_entry(website, 9)),
            create(hour_entry(website, 10)),
        ]
        before, audit_log = entries_in(server.database), AuditLog(server.database)

        response = bulk(as_user(ana), *good[:place], delete(2_000_000_000), *good[place:])

        assert (refusal(response), errors_of(response)) == (REJECTED, [(place, "entry_not_found")])
        assert response.json()["detail"].startswith("1 of 5 operations")
        assert entries_in(server.database) == before
        assert audit_log.new_events() == []
        assert bulk(as_user(ana), *good).status_code == 200

    def test_every_rule_holds_and_every_refusal_is_named(
        self, server, people, as_user, ana, bob, website, manual_entries
    ):
        secret, old = people.project("Secret", members=(bob,)), people.project("Old", is_active=False)
        bobs, his = (people.entry(bob, website, hours_ago_utc(n), hours_ago_utc(n - 1)) for n in (50, 52))
        ancient, older = (people.entry(ana, website, hours_ago_utc(n), hours_ago_utc(n - 1)) for n in (800, 900))
        mine = [people.entry(ana, website, hours_ago_utc(n + 85), hours_ago_utc(n + 84)) for n in range(9)]
        runs = people.entry(ana, website, hours_ago_utc(20), None)
        free = {"project_id": website.id, "start_time": hours_ago(300)}
        operations = [
            (create(hour_entry(website, 0)), "entry_overlaps"),
            (create(hour_entry(secret, 9)), "project_not_found"),
            (create(hour_entry(old, 9)), "project_inactive"),
            (create(hour_entry(website, 9, user_id=bob.id, reason="For Bob")), "user_not_found"),
            (create(hour_entry(website, 9, user_id=2_000_000_000, reason="For nobody")), "user_not_found"),
            (create(two_hour_entry(website, days=-1)), "entry_in_future"),
            (create(free | {"end_time": hours_ago(275)}), "entry_too_long"),
            (create(free | {"end_time": hours_ago(301)}), "entry_too_short"),
            (create(hour_entry(website, 24 * 31)), "edit_window_closed"),
            (change(bobs, description="Mine"), "entry_not_found"),
            (change(2_000_000_000, description="Mine"), "entry_not_found"),
            (change(mine[0], version=7, description="Shop"), "entry_changed"),
            (change(mine[1], start_time=hours_ago(85.5)), "reason_required"),
            (change(mine[2], end_time=hours_ago(-1), reason="Typo"), "entry_in_future"),
            (change(mine[3], end_time=hours_ago(90), reason="Typo"), "entry_too_short"),
            (change(mine[4], start_time=hours_ago(120), reason="Typo"), "entry_too_long"),
            (change(mine[5], start_time=hours_ago(91), reason="Earlier"), "entry_overlaps"),
            (change(mine[6], project_id=secret.id), "project_not_found"),
            (change(mine[7], project_id=old.id), "project_inactive"),
            (change(runs, needs_review=False), "entry_still_open"),
            (change(ancient, description="Shop"), "edit_window_closed"),
            (delete(his), "entry_not_found"),
            (delete(mine[8], version=2), "entry_changed"),
            (delete(older), "edit_window_closed"),
        ]
        before, audit_log = entries_in(server.database), AuditLog(server.database)

        response = bulk(as_user(ana), *(operation for operation, _ in operations))

        assert refusal(response) == REJECTED
        assert errors_of(response) == list(enumerate(code for _, code in operations))
        assert entries_in(server.database) == before
        assert audit_log.new_events() == []

    def test_two_operations_of_one_call_do_not_overlap(self, as_user, ana, website):
        half_later = {"start_time": hours_ago(33.5), "end_time": hours_ago(32.5)}

        response = bulk(as_user(ana), create(hour_entry(website, 9)), create(hour_entry(website, 9) | half_later))

        assert errors_of(response) == [(1, "entry_overlaps")]

    def test_each_is_judged_as_if_those_refused_before_it_were_not_there(self, people, as_user, ana, website):
        old = people.project("Old", is_active=False)

        response = bulk(
            as_user(ana), create(hour_entry(old, 9)), create(hour_entry(website, 9)), create(hour_entry(website, 9))
        )

        assert errors_of(response) == [(0, "project_inactive"), (2, "entry_overlaps")]

    def test_a_manager_says_why_for_each_that_is_not_hers(self, as_user, mia, ana, website, manual_entries):
        response = bulk(
            as_user(mia),
            create(hour_entry(website, 9)),
            create(hour_entry(website, 10, user_id=ana.id)),
            change(manual_entries[0]["id"], description="Shop"),
            delete(manual_entries[1]["id"]),
        )

        assert errors_of(response) == [(1, "reason_required"), (2, "reason_required")]

    def test_a_manager_reaches_no_other_team(self, server, people, as_user, mia, bob, website):
        bobs, his = (people.entry(bob, website, hours_ago_utc(n), hours_ago_utc(n - 1)) for n in (50, 52))
        before = entries_in(server.database)

        response = bulk(
            as_user(mia), change(bobs, description="x", reason="y"), delete(his), create(hour_entry(website, 9))
        )

        assert errors_of(response) == [(0, "entry_not_found"), (1, "entry_not_found")]
        assert entries_in(server.database) == before

    def test_it_names_a_hundred_refusals_and_counts_them_all(self, as_user, ana, manual_entries):
        response = bulk(as_user(ana), *(delete(2_000_000_000 + number) for number in range(150)))

        assert errors_of(response) == [(number, "entry_not_found") for number in range(100)]
        assert response.json()["detail"].startswith("150 of 150 operations")

    def test_a_refused_one_may_be_mended_under_the_same_key(self, server, as_user, ana, website, manual_entries):
        rejected = bulk(as_user(ana), create(hour_entry(website, 9)), create(hour_entry(website, 0)), key="k-1")

        corrected = bulk(as_user(ana), create(hour_entry(website, 9)), create(hour_entry(website, 10)), key="k-1")

        assert (refusal(rejected), corrected.status_code) == (REJECTED, 200)


class TestWhatCanNotBeMeant:
    @pytest.mark.parametrize("number", [0, 501])
    def test_a_call_has_1_to_500_operations(self, server, as_user, ana, website, number):
        response = bulk(as_user(ana), *(create(hour_entry(website, each)) for each in range(number)))

        assert refusal(response) == (422, "validation_failed")
        assert entries_in(server.database) == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"action": "approve", "id": 1},
            {"action": "delete", "id": 1},
            {"action": "delete", "reason": "No id"},
            {"action": "change", "description": "No id"},
            {"action": "change", "id": 1, "end_time": None},
            {"action": "change", "id": 1, "user_id": 2},
            {"action": "change", "id": 1, "version": 0, "description": "x"},
            {"action": "change", "id": "1", "description": "x"},
            {"action": "create", "id": 1},
            {
                "action": "create",
                "project_id": 1,
                "start_time": "2026-03-02T08:00:00",
                "end_time": "2026-03-02T09:00:00",
            },
        ],
        ids=str,
    )
    def test_one_that_can_not_be_meant_stops_the_call(self, server, as_user, ana, website, wrong):
        """Covers threats 3, 7, 22."""
        response = bulk(as_user(ana), create(hour_entry(website, 9)), wrong)

        assert refusal(response) == (422, "validation_failed")
        assert response.json()["errors"][0]["loc"][:3] == ["body", "operations", 1]
        assert entries_in(server.database) == []
