"""Clock-in and clock-out (rules: E1 to E5, T1, T3, T4, T7)."""

import csv
import io
import re
from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from app.schemas.time_entries.clock import ClockIn
from app.services.time_entries import clock, entries
from tests.support.credentials import create_claims
from tests.support.factories import instant

PERIOD = {"start_date": "2000-01-01", "end_date": "2099-12-31"}
UTC_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NINE = instant("2026-03-02 09:00")


def test_ana_clocks_in_and_out_and_sees_her_hours(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)

    started = me.clock_in(website.id, "Landing page")
    ended = me.post(f"/time-entries/{started.json()['id']}/clock-out")
    hours = me.get("/time-entries/me", params=PERIOD)

    assert (started.status_code, ended.status_code) == (200, 200)
    assert started.json()["end_time"] is None
    assert ended.json()["end_time"] >= started.json()["start_time"]
    assert [(entry["id"], entry["project"]["name"]) for entry in hours.json()] == [(started.json()["id"], "Website")]
    assert hours.headers["X-As-Of"].endswith("Z")


def test_a_project_is_all_that_a_clock_in_needs(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")

    started = as_user(ana).post("/time-entries/clock-in", json={"project_id": website.id})

    assert (started.status_code, started.json()["description"]) == (200, "")


def test_a_clock_in_on_no_project_names_the_way_to_one(people, as_user):
    """The first request of a newcomer, on a server without projects."""
    refused = as_user(people.admin("Ada")).clock_in(1)

    assert (refused.status_code, refused.json()["code"]) == (404, "project_not_found")
    assert "GET /projects" in refused.json()["detail"]
    assert "POST /admin/projects" in refused.json()["detail"]


def test_nobody_can_clock_in_twice(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    first = as_user(ana).clock_in(website.id).json()

    second = as_user(ana).clock_in(website.id)

    assert (second.status_code, second.json()["code"]) == (409, "already_clocked_in")
    assert second.json()["entry_id"] == first["id"]


def test_switching_closes_and_opens_at_one_instant(people, as_user):
    ana, website, shop = people.employee("Ana"), people.project("Website"), people.project("Shop")
    as_user(ana).clock_in(website.id)

    switched = as_user(ana).clock_in(shop.id, switch=True).json()
    newest, older = as_user(ana).get("/time-entries/me", params=PERIOD).json()

    assert newest["id"] == switched["id"]
    assert older["end_time"] == newest["start_time"]
    assert newest["end_time"] is None


def test_switching_from_nothing_clocks_in(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")

    started = as_user(ana).clock_in(website.id, switch=True)

    assert (started.status_code, started.json()["end_time"]) == (200, None)


def test_a_switch_that_is_refused_leaves_the_clock_running(people, as_user):
    ana, website, old = people.employee("Ana"), people.project("Website"), people.project("Old", is_active=False)
    me = as_user(ana)
    running = me.clock_in(website.id).json()

    rejected = me.clock_in(old.id, switch=True)

    assert (rejected.status_code, rejected.json()["code"]) == (409, "project_inactive")
    assert me.get("/time-entries/current").json()["id"] == running["id"]


def test_the_open_entry_is_clocked_out_without_naming_it(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)
    started = me.clock_in(website.id).json()

    ended = me.clock_out()

    assert (ended.status_code, ended.json()["id"]) == (200, started["id"])
    assert ended.json()["version"] == started["version"] + 1
    assert me.get("/time-entries/current").status_code == 204


def test_nobody_clocks_out_of_an_entry_twice(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)
    entry_id = me.clock_in(website.id).json()["id"]
    ended = me.post(f"/time-entries/{entry_id}/clock-out").json()

    repeated = me.post(f"/time-entries/{entry_id}/clock-out")

    assert (repeated.status_code, repeated.json()["code"]) == (409, "already_clocked_out")
    assert repeated.json()["entry_id"] == entry_id
    assert [entry["end_time"] for entry in hours(me)] == [ended["end_time"]]


def test_who_is_not_clocked_in_cannot_clock_out(people, as_user):
    ana = people.employee("Ana")

    rejected = as_user(ana).clock_out()

    assert (rejected.status_code, rejected.json()["code"]) == (409, "not_clocked_in")


def test_a_colleagues_entry_looks_as_if_it_did_not_exist(people, as_user):
    mia, website = people.manager("Mia"), people.project("Website")
    ana, bob = people.employee("Ana", manager=mia), people.employee("Bob", manager=mia)
    entry_id = as_user(ana).clock_in(website.id).json()["id"]

    rejected = as_user(bob).post(f"/time-entries/{entry_id}/clock-out")

    assert (rejected.status_code, rejected.json()["code"]) == (404, "entry_not_found")
    assert as_user(ana).get("/time-entries/current").json()["id"] == entry_id


def test_those_who_see_an_entry_still_cannot_clock_out_for_its_owner(people, as_user):
    boss, ada, website = people.manager("Bo"), people.admin("Ada"), people.project("Website")
    mia = people.manager("Mia", manager=boss)
    ana = people.employee("Ana", manager=mia)
    entry_id = as_user(ana).clock_in(website.id).json()["id"]

    rejected = [as_user(each).post(f"/time-entries/{entry_id}/clock-out") for each in (mia, boss, ada)]

    assert [(response.status_code, response.json()["code"]) for response in rejected] == [(403, "not_your_entry")] * 3
    assert as_user(ana).get("/time-entries/current").json()["id"] == entry_id


def test_nobody_clocks_in_on_a_project_that_does_not_exist(people, as_user):
    ana = people.employee("Ana")

    rejected = as_user(ana).clock_in(2_000_000_000)

    assert (rejected.status_code, rejected.json()["code"]) == (404, "project_not_found")
    assert hours(as_user(ana)) == []


def test_nobody_clocks_in_on_an_archived_project(people, as_user):
    ana, old = people.employee("Ana"), people.project("Old", is_active=False)

    rejected = as_user(ana).clock_in(old.id)

    assert (rejected.status_code, rejected.json()["code"]) == (409, "project_inactive")
    assert hours(as_user(ana)) == []


def test_a_project_with_members_is_booked_by_its_members_alone(people, as_user):
    ana, bob, ada = people.employee("Ana"), people.employee("Bob"), people.admin("Ada")
    secret = people.project("Secret", members=(ana,))

    responses = [as_user(each).clock_in(secret.id) for each in (ana, bob, ada)]

    assert [response.status_code for response in responses] == [200, 404, 404]
    assert responses[1].json()["code"] == "project_not_found"


def test_an_archived_project_with_members_stays_hidden_from_others(people, as_user):
    ana, bob = people.employee("Ana"), people.employee("Bob")
    secret = people.project("Secret", members=(ana,), is_active=False)

    rejected = as_user(bob).clock_in(secret.id)

    assert (rejected.status_code, rejected.json()["code"]) == (404, "project_not_found")


def test_archiving_a_project_does_not_stop_who_works_on_it(people, as_user):
    ana, ada, website = people.employee("Ana"), people.admin("Ada"), people.project("Website")
    me = as_user(ana)
    entry_id = me.clock_in(website.id).json()["id"]

    as_user(ada).patch(f"/admin/projects/{website.id}", json={"is_active": False})

    running = me.get("/time-entries/current").json()
    assert (running["id"], running["project"]["is_active"]) == (entry_id, False)
    assert me.clock_out().status_code == 200


def test_the_current_entry_comes_with_its_project(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)
    started = me.clock_in(website.id, "Landing page").json()

    current = me.get("/time-entries/current")

    project = current.json()["project"]
    assert current.json() == started | {"project": project}
    assert (project["id"], project["name"], project["is_active"]) == (website.id, "Website", True)


def test_there_is_no_current_entry_while_the_clock_stands_still(people, as_user):
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
    as_user(bob).clock_in(website.id)

    current = as_user(ana).get("/time-entries/current")

    assert (current.status_code, current.content) == (204, b"")


@pytest.mark.parametrize(("open_hours", "flagged"), [(15, False), (17, True)])
def test_an_entry_open_for_too_long_is_flagged_wherever_it_appears(people, as_user, open_hours, flagged):
    mia, website = people.manager("Mia"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, ago(hours=open_hours), None)
    manager, me = as_user(mia), as_user(ana)

    current = me.get("/time-entries/current").json()
    (own,) = hours(me)
    (of_ana,) = manager.get("/reports/team", params=last_days()).json()
    (row,) = rows(manager.get("/reports/export/csv", params=last_days() | {"columns": "full"}))

    seen = [current["needs_review"], own["needs_review"], of_ana["entries"][0]["needs_review"]]
    assert seen == [flagged] * 3
    assert row["needs_review"] == str(flagged).lower()


def test_sixteen_hours_are_a_long_day_and_a_second_more_is_too_long(database):
    with database.read_transaction() as session:
        after = [
            entries.needs_review(session, False, NINE, None, now=NINE + timedelta(hours=16, seconds=second))
            for second in (0, 1)
        ]

    assert after == [False, True]


def test_a_forgotten_entry_can_be_clocked_out_and_keeps_its_flag(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    entry_id = people.entry(ana, website, ago(days=40), None)
    me = as_user(ana)

    ended = me.post(f"/time-entries/{entry_id}/clock-out")

    assert (ended.status_code, ended.json()["needs_review"]) == (200, True)
    assert [entry["needs_review"] for entry in hours(me)] == [True]


def test_the_entry_after_a_forgotten_one_is_not_flagged(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, ago(hours=20), None)
    me = as_user(ana)

    me.clock_in(website.id, switch=True)

    assert [entry["needs_review"] for entry in hours(me)] == [False, True]


def test_an_open_entry_is_shown_and_not_counted(people, as_user):
    mia, website = people.manager("Mia"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, ago(hours=4), ago(hours=3))
    people.entry(ana, website, ago(hours=2), None)

    response = as_user(mia).get("/reports/team", params=last_days())

    (of_ana,) = response.json()
    assert [entry["end_time"] is None for entry in of_ana["entries"]] == [False, True]
    assert (of_ana["total_seconds"], of_ana["total_hours"]) == (3600, 1.0)
    assert UTC_SECONDS.fullmatch(response.headers["X-As-Of"])


def test_an_empty_description_is_valid(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")

    started = as_user(ana).clock_in(website.id, "")

    assert (started.status_code, started.json()["description"]) == (200, "")


def test_a_clock_in_takes_its_time_and_its_person_from_the_server(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me, fields = as_user(ana), ["start_time", "end_time", "at", "user_id", "time_zone", "needs_review"]
    sent = {"project_id": website.id, "description": ""}

    rejected = [me.post("/time-entries/clock-in", json=sent | {field: "2026-03-02T08:00:00Z"}) for field in fields]

    assert [(response.status_code, response.json()["code"]) for response in rejected] == [
        (422, "validation_failed")
    ] * 6
    assert hours(me) == []


def test_a_clock_outs_time_is_the_servers(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)
    entry_id = me.clock_in(website.id).json()["id"]

    ended = me.post(f"/time-entries/{entry_id}/clock-out", json={"end_time": "2030-01-01T00:00:00Z"}).json()

    assert ended["end_time"] < "2030"


def test_times_are_whole_seconds_in_utc(people, as_user):
    ana, website = people.employee("Ana", time_zone="Asia/Kolkata"), people.project("Website")
    me = as_user(ana)
    me.clock_in(website.id)
    me.clock_out()

    (entry,) = hours(me)

    times = [entry[name] for name in ("start_time", "end_time", "created_at", "updated_at")]
    assert all(UTC_SECONDS.fullmatch(each) for each in [*times, entry["project"]["created_at"]])


def test_an_entry_keeps_the_zone_it_was_recorded_in(people, as_user):
    ana, website = people.employee("Ana", time_zone="Europe/Berlin"), people.project("Website")
    me = as_user(ana)
    me.clock_in(website.id)

    me.patch("/auth/me", json={"time_zone": "Asia/Tokyo"})

    me.clock_in(website.id, switch=True)
    assert [entry["time_zone"] for entry in hours(me)] == ["Asia/Tokyo", "Europe/Berlin"]


def test_a_late_evening_in_utc_is_the_next_day_in_berlin(people, as_user):
    ana, website = people.employee("Ana", time_zone="Europe/Berlin"), people.project("Website")
    people.entry(ana, website, "2026-03-02 23:30", "2026-03-02 23:45")
    me = as_user(ana)

    of_day = {day: len(hours(me, start_date=day, end_date=day)) for day in ("2026-03-02", "2026-03-03")}
    in_utc = len(hours(me, start_date="2026-03-02", end_date="2026-03-02", time_zone="UTC"))

    assert of_day == {"2026-03-02": 0, "2026-03-03": 1}
    assert in_utc == 1


def test_a_day_holds_the_entries_of_every_zone_someone_lived_in(people, as_user):
    ana, website = people.employee("Ana", time_zone="Europe/Berlin"), people.project("Website")
    people.employee("Bob", time_zone="Asia/Tokyo")
    in_tokyo = people.entry(ana, website, "2026-03-01 15:00", "2026-03-01 16:00", time_zone="Asia/Tokyo")
    in_berlin = people.entry(ana, website, "2026-03-02 22:30", "2026-03-02 22:45")
    people.entry(ana, website, "2026-03-02 15:00", "2026-03-02 16:00", time_zone="Asia/Tokyo")
    people.entry(ana, website, "2026-03-02 23:00", "2026-03-02 23:15")

    second_of_march = hours(as_user(ana), start_date="2026-03-02", end_date="2026-03-02")

    assert [entry["id"] for entry in second_of_march] == [in_berlin, in_tokyo]


def test_ones_own_hours_come_newest_first_and_are_ones_own(people, as_user):
    mia, website = people.manager("Mia"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    second = people.entry(mia, website, "2026-03-03 08:00", "2026-03-03 12:00")
    third = people.entry(mia, website, "2026-03-04 08:00", "2026-03-04 12:00")
    first = people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 12:00")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")

    seen = hours(as_user(mia))

    assert [entry["id"] for entry in seen] == [third, second, first]


def test_a_punch_just_behind_the_last_one_takes_its_instant(people, as_user):
    """The server's clock was set back by a few seconds."""
    ana, website = people.employee("Ana"), people.project("Website")
    last_end = utc_now() + timedelta(seconds=5)
    people.entry(ana, website, ago(hours=1), f"{last_end:%Y-%m-%d %H:%M:%S}")

    started = as_user(ana).clock_in(website.id)

    assert (started.status_code, started.json()["start_time"]) == (200, f"{last_end:%Y-%m-%dT%H:%M:%SZ}")


def test_a_clock_out_just_before_the_clock_in_makes_an_entry_of_no_length(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    start = utc_now() + timedelta(seconds=5)
    people.entry(ana, website, f"{start:%Y-%m-%d %H:%M:%S}", None)

    ended = as_user(ana).clock_out()

    assert (ended.status_code, ended.json()["end_time"]) == (200, f"{start:%Y-%m-%dT%H:%M:%SZ}")


def test_no_punch_is_taken_while_the_machines_clock_is_far_behind(people, as_user):
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    people.entry(ana, website, ago(hours=1), ago(seconds=-60))
    is_open = people.entry(bob, website, ago(seconds=-60), None)

    rejected = [
        as_user(ana).clock_in(website.id),
        as_user(bob).clock_out(),
        as_user(bob).clock_in(website.id, switch=1),
    ]

    assert [(response.status_code, response.json()["code"]) for response in rejected] == [
        (503, "server_clock_skew")
    ] * 3
    assert all(int(response.headers["Retry-After"]) > 0 for response in rejected)
    assert [entry["end_time"] for entry in hours(as_user(bob)) if entry["id"] == is_open] == [None]


def test_five_seconds_behind_are_stepped_over_and_six_are_not(database, people):
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    for each in (ana, bob):
        people.entry(each, website, "2026-03-02 08:00", "2026-03-02 09:00")

    started = punch_in(database, ana, website, NINE - timedelta(seconds=5))
    with pytest.raises(clock.ServerClockSkew):
        punch_in(database, bob, website, NINE - timedelta(seconds=6))

    assert started.start_time == NINE


def test_a_punch_of_no_length_inside_a_longer_entry_hides_its_end_from_nobody(database, people):
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    people.entry(ana, website, "2026-03-02 08:30", "2026-03-02 08:30")

    started = punch_in(database, ana, website, NINE - timedelta(seconds=5))

    assert started.start_time == NINE


def test_entries_touch_when_a_punch_comes_at_the_last_end(database, people):
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")

    started = punch_in(database, ana, website, NINE)

    assert started.start_time == NINE


def test_a_punch_may_last_no_time_at_all_again_and_again(database, people):
    ana, website = people.employee("Ana"), people.project("Website")

    punched = []
    for _ in range(2):
        punch_in(database, ana, website, NINE)
        punched.append(punch_out(database, ana, NINE))
    last = punch_in(database, ana, website, NINE)

    assert [(entry.start_time, entry.end_time) for entry in punched] == [(NINE, NINE)] * 2
    assert last.end_time is None


def hours(caller, **period):
    return caller.get("/time-entries/me", params=PERIOD | period).json()


def rows(response):
    return list(csv.DictReader(io.StringIO(response.text)))


def ago(**length):
    return f"{utc_now() - timedelta(**length):%Y-%m-%d %H:%M:%S}"


def last_days():
    today = utc_now().date()
    return {"start_date": today - timedelta(days=2), "end_date": today + timedelta(days=1)}


def punch_in(database, user, project, at):
    with database.write_transaction() as session:
        data = ClockIn(project_id=project.id, description="")
        return clock.clock_in(session, create_claims(database, user), data, switch=False, at=at)


def punch_out(database, user, at):
    with database.write_transaction() as session:
        return clock.clock_out_open(session, create_claims(database, user), at=at)
