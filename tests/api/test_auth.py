"""Logging in, one's own account, and whom one may see (DESIGN: P2, R1, V1; THREATS 5, 6, 14)."""

import hashlib

import pytest

from app.core.clock import utc_now
from app.schemas.user import UserUpdate
from app.services import auth, users
from app.services.errors import LoginRefused
from app.services.identity import Actor
from tests.support.people import PASSWORD
from tests.support.record import Record

ANOTHER_PASSWORD = "another-lantern-17-harbour"


@pytest.mark.parametrize("typed", ["ana@example.com", "ANA@Example.com", " ana@example.com "])
def test_a_login_gives_a_token_that_works(people, anyone, server, typed):
    ana = people.employee("Ana")

    answer = log_in(anyone, typed)

    assert answer.status_code == 200
    token = answer.json()
    assert token == {"access_token": token["access_token"], "token_type": "bearer", "expires_in": 1800}
    with server.caller(token["access_token"]) as me:
        assert me.get("/auth/me").json()["id"] == ana.id


def test_an_email_with_umlauts_logs_in_in_any_case(people, anyone):
    people.employee("Änne")

    assert log_in(anyone, "ÄNNE@example.com").status_code == 200


def test_fields_that_a_login_does_not_know_are_ignored(people, anyone):
    people.employee("Ana")

    swaggers = {"grant_type": "password", "scope": "", "client_id": "x", "client_secret": "y"}

    assert log_in(anyone, "ana@example.com", **swaggers).status_code == 200


def test_every_refused_login_looks_the_same(people, anyone):
    people.employee("Ana")
    people.employee("Dan", is_active=False)

    answers = [
        log_in(anyone, "ana@example.com", password="wrong-lantern-42-harbour"),
        log_in(anyone, "nobody@example.com"),
        log_in(anyone, "dan@example.com"),
        log_in(anyone, "not an e-mail"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "login_refused")] * 4
    bodies = [{name: said for name, said in answer.json().items() if name != "request_id"} for answer in answers]
    headers = [
        {name: said for name, said in answer.headers.items() if name not in {"x-request-id", "date"}}
        for answer in answers
    ]
    assert bodies == bodies[:1] * 4
    assert headers == headers[:1] * 4
    assert headers[0]["www-authenticate"] == "Bearer"


def test_a_refused_login_is_on_record_without_what_was_typed(people, anyone, server):
    ana, dan = people.employee("Ana"), people.employee("Dan", is_active=False)
    typed = ["My-Secret-Passphrase-77", "nobody@example.com", "NOBODY@example.com"]

    log_in(anyone, "ana@example.com", password=ANOTHER_PASSWORD)
    log_in(anyone, "dan@example.com")
    answers = [log_in(anyone, each) for each in typed]

    events = logins(server)
    assert [event.action for event in events] == ["login:refuse"] * 5
    assert [event.subject_id for event in events] == [ana.id, dan.id, None, None, None]
    assert {event.actor_id for event in events} == {None}
    assert [event.request_id for event in events[2:]] == [answer.json()["request_id"] for answer in answers]
    assert [event.after for event in events[:2]] == [None, None]
    digests = [event.after["typed_digest"] for event in events[2:]]
    assert digests[0] != digests[1] == digests[2]
    recorded = repr(events).lower()
    guesses = [hashlib.sha256(each.lower().encode()).hexdigest() for each in typed]
    assert not [each for each in [*typed, *guesses, PASSWORD, ANOTHER_PASSWORD] if each.lower() in recorded]


def test_a_login_is_on_record(people, anyone, server):
    ana = people.employee("Ana")

    answer = log_in(anyone, "ana@example.com")

    (event,) = logins(server)
    assert (event.action, event.actor_id, event.subject_id) == ("login:accept", ana.id, ana.id)
    assert event.request_id == answer.headers["X-Request-ID"]


def test_who_is_deactivated_while_their_password_is_checked_gets_no_token(database, people):
    ana, ada = people.employee("Ana"), people.admin("Ada")

    def in_between(session):
        users.deactivate(session, Actor(ada.id, ada.role, "UTC"), ana.id, at=utc_now())

    assert finish_login(database, "ana@example.com", in_between) is None


def test_whose_password_changes_while_it_is_checked_gets_no_token(database, people):
    ana, ada = people.employee("Ana"), people.admin("Ada")

    def in_between(session):
        users.set_password(session, Actor(ada.id, ada.role, "UTC"), ana.id, password_hash="new", at=utc_now())

    assert finish_login(database, "ana@example.com", in_between) is None


def test_whose_email_goes_to_another_while_it_is_checked_gets_no_token_of_theirs(database, people):
    ana, bob, ada = people.employee("Ana"), people.employee("Bob"), people.admin("Ada")
    actor = Actor(ada.id, ada.role, "UTC")

    def in_between(session):
        users.change(session, actor, ana.id, UserUpdate(email="former@example.com"), at=utc_now())
        users.change(session, actor, bob.id, UserUpdate(email="ana@example.com"), at=utc_now())

    assert finish_login(database, "ana@example.com", in_between) is None


def test_a_login_that_nothing_disturbs_gets_a_token(database, people):
    ana = people.employee("Ana")

    assert finish_login(database, "ana@example.com", lambda _: None).user_id == ana.id


@pytest.mark.parametrize("change", ["password", "deactivate", "deactivate and activate"])
def test_a_token_ends_with_what_it_was_given_for(people, as_user, anyone, change):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    me, admin = as_user(ana), as_user(ada)
    assert me.get("/auth/me").status_code == 200

    for step in change.split(" and "):
        body = {"password": ANOTHER_PASSWORD} if step == "password" else None
        admin.put(f"/admin/users/{ana.id}/{step}", json=body)

    refused = me.get("/auth/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_a_change_of_name_or_role_ends_no_token(people, as_user):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    me = as_user(ana)

    as_user(ada).patch(f"/admin/users/{ana.id}", json={"role": "manager", "last_name": "Costa"})

    assert [me.get("/auth/me").json()[name] for name in ("role", "last_name")] == ["manager", "Costa"]


def test_people_read_their_own_account(people, as_user):
    mia = people.manager("Mia")
    ana = people.employee("Ana", manager=mia, time_zone="Europe/Berlin")

    me = as_user(ana).get("/auth/me").json()

    assert me == {
        "id": ana.id,
        "email": "ana@example.com",
        "first_name": "Ana",
        "last_name": "Silva",
        "is_active": True,
        "role": "employee",
        "manager_id": mia.id,
        "time_zone": "Europe/Berlin",
        "created_at": f"{ana.created_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def test_people_change_their_own_names_and_zone(people, as_user):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    me = as_user(ana)
    before = me.get("/auth/me").json()
    wanted = {"first_name": "Anna", "last_name": "Sílva", "time_zone": "Asia/Tokyo"}

    changed = me.patch("/auth/me", json=wanted)

    assert (changed.status_code, changed.json()) == (200, before | wanted)
    assert me.get("/auth/me").json() == before | wanted
    found = as_user(ada).get("/admin/users", params={"search": "anna SÍLVA"}).json()
    assert [person["id"] for person in found] == [ana.id]


def test_nobody_changes_their_own_standing(people, as_user):
    mia = people.manager("Mia")
    me = as_user(people.employee("Ana"))
    before = me.get("/auth/me").json()
    bodies = [
        {"role": "admin"},
        {"manager_id": mia.id},
        {"is_active": False},
        {"email": "other@example.com"},
        {"password": ANOTHER_PASSWORD},
        {"token_epoch": 0},
        {"id": mia.id},
        {"first_name": None},
        {"time_zone": "Mars/Base"},
        {"first_name": "Anna", "role": "admin"},
    ]

    refused = [me.patch("/auth/me", json=body) for body in bodies]

    assert [answer.status_code for answer in refused] == [422] * 10
    assert me.get("/auth/me").json() == before


def test_each_role_sees_the_people_it_may_see(people, as_user):
    bo = people.manager("Bo")
    mia = people.manager("Mia", manager=bo)
    ana = people.employee("Ana", manager=mia)
    people.employee("Dan", manager=mia, is_active=False)
    people.employee("Bob")
    ada, lone = people.admin("Ada"), people.manager("Lea")

    seen = {each.first_name: team(as_user(each)) for each in (ana, mia, bo, lone, ada)}

    assert seen == {
        "Ana": ["Ana"],
        "Mia": ["Mia", "Ana", "Dan"],
        "Bo": ["Bo", "Mia", "Ana", "Dan"],
        "Lea": ["Lea"],
        "Ada": ["Bo", "Mia", "Ana", "Dan", "Bob", "Ada", "Lea"],
    }


def test_a_team_is_walked_page_by_page(people, as_user):
    mia = people.manager("Mia")
    for name in ("Ana", "Bob"):
        people.employee(name, manager=mia)
    manager = as_user(mia)

    first = manager.get("/team", params={"limit": 2})
    second = manager.at_root("GET", first.links["next"]["url"])

    assert [[person["first_name"] for person in page.json()] for page in (first, second)] == [["Mia", "Ana"], ["Bob"]]
    assert (first.headers["X-Total-Count"], second.links) == ("3", {})


def log_in(caller, email, *, password=PASSWORD, **others):
    return caller.post("/auth/login", data={"username": email, "password": password} | others)


def finish_login(database, email, in_between):
    """A login whose password matches, with something happening while it is checked; None where it is refused."""
    with database.reading() as session:
        found = auth.find_account(session, email)
    with database.writing() as session:
        in_between(session)
    try:
        with database.writing() as session:
            return auth.log_in(session, email, found, password_matches=True, at=utc_now())
    except LoginRefused:
        return None


def logins(server):
    return [event for event in Record(server.database, whole=True).new() if event.object_type == "login"]


def team(caller):
    return [person["first_name"] for person in caller.get("/team").json()]
