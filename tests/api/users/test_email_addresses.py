"""E-mail addresses as login names: spellings that count as the same, and what is no mailbox of its own (P1)."""

import pytest

from tests.support.factories import PASSWORD

JO = {"email": "jo@xn--mnchen-3ya.de", "first_name": "Jo", "last_name": "Li", "role": "employee", "password": PASSWORD}
SPELLINGS = ["jo@xn--mnchen-3ya.de", "jo@münchen.de", "JO@MÜNCHEN.de", "jo@mu\u0308nchen.de"]
HEADER = "email,first_name,last_name,role,manager_email,time_zone"


def log_in(anonymous, email, password=PASSWORD):
    return anonymous.post("/auth/login", data={"username": email, "password": password})


def import_users(admin, *rows):
    content = "\r\n".join([HEADER, *rows, ""]).encode()
    return admin.post("/admin/users/import", content=content, headers={"Content-Type": "text/csv"})


@pytest.mark.parametrize("created", SPELLINGS)
def test_jo_of_munich_logs_in_with_the_spelling_of_any_browser(admin, anonymous, created):
    assert admin.post("/admin/users", json=JO | {"email": created}).status_code == 201

    assert [log_in(anonymous, spelling).status_code for spelling in SPELLINGS] == [200] * 4


def test_jo_of_munich_is_one_person_for_creation_change_import_and_search(people, admin):
    people.employee("Jo", email="jo@münchen.de")
    bob = people.employee("Bob")
    row = "jo@xn--mnchen-3ya.de,Jo,Li,employee,,"

    created = admin.post("/admin/users", json=JO)
    changed = admin.patch(f"/admin/users/{bob.id}", json={"email": JO["email"]})
    imported = import_users(admin, row)
    twice = import_users(admin, row.replace("jo@", "kim@"), row.replace("jo@xn--mnchen-3ya", "kim@münchen"))
    found = [admin.get("/admin/users", params={"search": spelling}).json() for spelling in [*SPELLINGS, "MÜNCHEN.d"]]

    assert [answer.json()["code"] for answer in (created, changed)] == ["email_taken"] * 2
    assert [answer.json()["errors"][0]["type"] for answer in (imported, twice)] == ["email_taken", "email_twice"]
    assert [[user["email"] for user in users] for users in found] == [["jo@münchen.de"]] * 5


def test_a_manager_is_named_in_any_spelling_of_the_domain(people, admin):
    mia = people.manager("Mia", email="mia@münchen.de")

    import_users(
        admin,
        "bo@münchen.de,Bo,Ek,manager,mia@xn--mnchen-3ya.de,",
        "eve@x.de,Eve,Ng,employee,BO@XN--MNCHEN-3YA.DE,",
    )

    bo, eve = admin.get("/admin/users").json()[-2:]
    assert (bo["manager_id"], eve["manager_id"]) == (mia.id, bo["id"])


def test_another_spelling_of_a_domain_is_no_way_around_the_limit_on_guesses(people, anonymous):
    people.employee("Jo", email="jo@münchen.de")

    guesses = [log_in(anonymous, SPELLINGS[number % 4], "a wrong password") for number in range(11)]

    assert [guess.status_code for guess in guesses] == [401] * 10 + [429]


def test_strasse_with_a_sharp_s_is_another_domain_and_another_mailbox(people, admin, anonymous):
    people.employee("Ina", email="info@straße.de")
    others = ["info@strasse.de", "straße@example.com", "strasse@example.com"]

    created = [admin.post("/admin/users", json=JO | {"email": email}) for email in others]
    changed = admin.patch(f"/admin/users/{created[0].json()['id']}", json={"email": "info@STRASSE.de"})

    assert [answer.status_code for answer in created] == [201] * 3
    assert changed.status_code == 200
    assert [log_in(anonymous, email).status_code for email in ("info@straße.de", *others)] == [200] * 4
    found = admin.get("/admin/users", params={"search": "@straße"}).json()
    assert [user["first_name"] for user in found] == ["Ina"]


def test_an_admin_by_command_is_no_second_one_with_another_spelling(run_command, people):
    people.admin("Ada", email="ada@münchen.de")

    created = run_command("create-admin", "ada@xn--mnchen-3ya.de", stdin=PASSWORD)

    assert (created.exit_code, "Another user has this e-mail" in created.stderr) == (1, True)


LOCAL = ["hans@firma.local", "chef@intranet", "ina@zeit.home.arpa", "jo@büro.local"]


def test_people_of_a_company_network_have_addresses_without_a_public_suffix(admin, anonymous):
    created = [admin.post("/admin/users", json=JO | {"email": email}) for email in LOCAL]

    assert [answer.status_code for answer in created] == [201] * 4
    assert [answer.json()["email"] for answer in created] == LOCAL
    assert [log_in(anonymous, email.upper()).status_code for email in LOCAL] == [200] * 4


def test_a_team_of_a_company_network_is_imported_with_its_manager(admin):
    imported = import_users(admin, "mia@intranet,Mia,Ek,manager,,", "hans@firma.local,Hans,Ek,employee,mia@intranet,")

    mia, hans = admin.get("/admin/users").json()[-2:]
    assert (imported.status_code, hans["manager_id"]) == (200, mia["id"])


def test_nobody_gets_an_address_like_that_of_an_erased_person(admin, ana):
    email = "erased-1@erased.invalid"

    answers = [
        admin.post("/admin/users", json=JO | {"email": email}),
        admin.patch(f"/admin/users/{ana.id}", json={"email": email}),
        import_users(admin, f"{email},Jo,Li,employee,,"),
    ]

    assert [answer.status_code for answer in answers] == [422] * 3


def test_an_admin_of_a_company_network_is_created_by_command(run_command, anonymous, server):
    assert run_command("create-admin", "chef@firma.local", stdin=PASSWORD).exit_code == 0

    assert log_in(anonymous, "chef@firma.local").status_code == 200
