"""Lists of entries: filters only narrow the visible entries, pages neither repeat nor skip one (threats 1, 2, 26)."""

from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.time.clock import utc_now
from app.services.access.visibility import SMALL_TEAM_SIZE

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


@pytest.fixture
def entries(people, mia, ana, bob, website):
    """One entry of Mia, two of Ana and one of Bob, by the user's name."""
    shop = people.project("Shop")
    return {
        "Mia": people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 12:00", description="Planning"),
        "Ana": people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 12:00", description="Übergabe an Zoë"),
        "Ana's": people.entry(ana, shop, "2026-04-03 08:00", "2026-04-03 12:00", description="100% done_deal"),
        "Bob": people.entry(bob, website, "2026-03-04 08:00", "2026-03-04 12:00", needs_review=True),
    }


def ids(caller, **params):
    response = caller.get("/time-entries", params=params)
    assert response.status_code == 200
    return [entry["id"] for entry in response.json()]


def page_ids(caller, **params):
    """Return the entry ids of each page. Pages are found by the Link header."""
    address = "/time-entries"
    while True:
        response = caller.get(address, params=params)
        yield [entry["id"] for entry in response.json()]
        if "Link" not in response.headers:
            return
        target = urlsplit(response.links["next"]["url"])
        address, params = target.path.removeprefix("/api/v1"), {k: v[0] for k, v in parse_qs(target.query).items()}


def test_everyone_sees_theirs_and_no_more(as_user, mia, ana, bob, ada, entries):
    seen = {user.first_name: ids(as_user(user)) for user in (mia, ana, bob, ada)}

    assert seen == {
        "Mia": [entries["Ana's"], entries["Ana"], entries["Mia"]],
        "Ana": [entries["Ana's"], entries["Ana"]],
        "Bob": [entries["Bob"]],
        "Ada": [entries["Ana's"], entries["Bob"], entries["Ana"], entries["Mia"]],
    }


def test_a_large_team_is_listed_like_a_small_one(people, as_user, mia, bob, website, entries):
    team = [people.employee(f"Person {number}", manager=mia) for number in range(SMALL_TEAM_SIZE)]
    of_team = [people.entry(each, website, "2026-03-09 08:00", "2026-03-09 12:00") for each in team[:3]]

    pages = list(page_ids(as_user(mia), limit=2))

    assert [each for page in pages for each in page] == [
        entries["Ana's"],
        *reversed(of_team),
        entries["Ana"],
        entries["Mia"],
    ]


def test_a_filter_never_shows_what_one_may_not_see(as_user, mia, ana, bob, entries):
    colleague = ids(as_user(ana), user_id=bob.id)
    other_team = ids(as_user(mia), user_id=bob.id)
    twice = as_user(ana).get(f"/time-entries?user_id={ana.id}&user_id={bob.id}").json()

    assert colleague == other_team == twice == []
    assert ids(as_user(mia), user_id=ana.id) == [entries["Ana's"], entries["Ana"]]


def test_filters_narrow_by_project_period_review_and_whether_it_runs(people, as_user, ada, website, entries):
    admin = as_user(ada)
    running = people.entry(people.employee("Eve"), website, utc_now().strftime("%Y-%m-%d %H:%M:%S"), None)
    stale = people.entry(people.employee("Flo"), website, "2026-03-05 08:00", None)

    assert ids(admin, project_id=website.id, **MARCH) == [stale, entries["Bob"], entries["Ana"], entries["Mia"]]
    assert ids(admin, start_date="2026-04-01", open=False) == [entries["Ana's"]]
    assert ids(admin, end_date="2026-03-02") == [entries["Mia"]]
    assert ids(admin, open=True) == [running, stale]
    assert ids(admin, needs_review=True) == [stale, entries["Bob"]]
    assert ids(admin, needs_review=False, open=True) == [running]
    assert ids(admin, needs_review=True, open=False, project_id=website.id, **MARCH) == [entries["Bob"]]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("PLANN", ["Mia"]),
        ("übergabe", ["Ana"]),
        ("ÜBERGABE", ["Ana"]),
        ("zoë", ["Ana"]),
        ("ZOË", ["Ana"]),
        ("%", ["Ana's"]),
        ("_", ["Ana's"]),
        ("done_deal", ["Ana's"]),
        ("doneXdeal", []),
        ("'", []),
    ],
)
def test_a_text_is_searched_alike_on_both_databases(as_user, ada, entries, typed, found):
    assert ids(as_user(ada), search=typed) == [entries[name] for name in found]


SPELLINGS = {
    "Stra\u00dfenbau": ["strasse", "STRASSE", "stra\u00dfe", "STRA\u1e9eE", "\uff33trass"],
    "Gru\u0308nfla\u0308che": ["gr\u00fcn", "GR\u00dcN", "gru\u0308nfla\u0308che"],
    "Caf\u00e9 \ufb01x": ["cafe\u0301 fix", "CAF\u00c9 F"],
    "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2": [
        "\u03bf\u03b4\u03bf\u03c2",
        "\u03bf\u03b4\u03bf\u03c3",
        "\u039f\u0394\u038c\u03a3",
    ],
    "\u0416\u0443\u043a\u043e\u0432\u0430": ["\u0416\u0423\u041a", "\u0436\u0443\u043a"],
}


@pytest.mark.parametrize("description", SPELLINGS)
def test_a_description_is_found_in_any_case_and_spelling(people, as_user, ada, ana, website, description):
    entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", description=description)
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 12:00", description="Grunflache, Strase, Cafe")

    for typed in SPELLINGS[description]:
        assert ids(as_user(ada), search=typed) == [entry], typed


def test_a_long_search_has_no_limit_of_the_databases(people, as_user, ada, ana, website):
    greek = "".join(chr(code) for code in range(0x1F00, 0x1FFF) if chr(code).isalpha())[:100]
    entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", description=f"1 {greek.upper()} 2")

    assert ids(as_user(ada), search=greek) == [entry]
    assert ids(as_user(ada), search="\ufdfa" * 100) == []


def test_pages_have_each_entry_once_while_others_are_added(people, as_user, ada, ana, website):
    """Covers threat 26. Three entries start at the same instant, so the id decides the order."""
    earlier = [people.entry(ana, website, f"2026-03-{day:02} 08:00", f"2026-03-{day:02} 09:00") for day in range(1, 6)]
    people_at_once = [people.employee(name) for name in ("Kai", "Kim", "Kurt")]
    earlier += [people.entry(each, website, "2026-03-03 08:00", "2026-03-03 09:00") for each in people_at_once]
    admin = as_user(ada)

    seen = []
    for number, page in enumerate(page_ids(admin, limit=2)):
        assert len(page) <= 2
        seen += page
        people.entry(ana, website, f"2026-02-{number + 1:02} 08:00", f"2026-02-{number + 1:02} 09:00")
        people.entry(ana, website, f"2026-05-{number + 1:02} 08:00", f"2026-05-{number + 1:02} 09:00")

    assert [entry for entry in seen if entry in earlier] == ids(admin, start_date="2026-03-01", end_date="2026-03-31")
    assert len(seen) == len(set(seen))


def test_the_next_page_keeps_the_filters(as_user, mia, ana, entries):
    pages = list(page_ids(as_user(mia), user_id=ana.id, limit=1))

    assert pages == [[entries["Ana's"]], [entries["Ana"]]]


@pytest.mark.parametrize(
    "cursor", ["0", "abc", "W10", "WzEsMiwzXQ", "W251bGwsMV0", "WzFlOTk5LDFd", "Wy0xLDFd", "x" * 200]
)
def test_a_cursor_is_one_of_ours(as_user, ana, cursor):
    response = as_user(ana).get("/time-entries", params={"cursor": cursor})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_cursor")


def test_list_report_and_csv_show_the_same_entries(as_user, mia, ana, entries):
    """Covers threat 1."""
    manager = as_user(mia)
    listed = ids(manager, user_id=ana.id, **MARCH)
    (of_ana,) = manager.get("/reports/team", params=MARCH).json()
    rows = manager.get("/reports/export/csv", params=MARCH | {"columns": "full"}).text.splitlines()[1:]

    assert listed == [entry["id"] for entry in of_ana["entries"]] == [int(row.split(",")[8]) for row in rows]
