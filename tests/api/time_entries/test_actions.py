"""The field `can` of entries: which actions the caller may take now (rules: E6, S5)."""

from tests.api.timesheets.conftest import sheet_path
from tests.support.times import hours_ago_utc


def test_can_says_of_each_entry_what_a_change_would_answer(as_user, people, admin, mia, ana, website):
    assert admin.put("/admin/timesheet-rules/2026-01-01", json={"period": "month"}).status_code == 200
    locked = people.entry(ana, website, "2026-01-05 08:00", "2026-01-05 12:00")
    old = people.entry(ana, website, "2026-02-05 08:00", "2026-02-05 12:00")
    new = people.entry(ana, website, hours_ago_utc(30), hours_ago_utc(29))
    assert as_user(ana).post(sheet_path(ana, "2026-01-01", "submit")).status_code == 200
    listed = [_can(as_user(caller), "/time-entries?can=true") for caller in (ana, mia)]

    for caller, of_caller in zip((ana, mia), listed, strict=True):
        for entry in (locked, old, new):
            one = as_user(caller).get(f"/time-entries/{entry}").json()
            changed = as_user(caller).patch(f"/time-entries/{entry}", json={"description": "x", "reason": "Typo"})

            assert one["can"] == of_caller[entry]
            assert one["can"] == (["change", "delete"] if changed.status_code == 200 else []), changed.text
    assert listed == [
        {locked: [], old: [], new: ["change", "delete"]},
        {locked: [], old: ["change", "delete"], new: ["change", "delete"]},
    ]


def test_a_list_says_nothing_of_actions_unless_asked(as_user, people, ana, website):
    people.entry(ana, website, "2026-02-05 08:00", "2026-02-05 12:00")

    (entry,) = as_user(ana).get("/time-entries").json()

    assert "can" not in entry


def _can(caller, path):
    return {entry["id"]: entry["can"] for entry in caller.get(path).json()}
