"""Clocking in and out (DESIGN: E1 to E5, T1, T7)."""

PERIOD = {"start_date": "2000-01-01", "end_date": "2099-12-31"}


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
