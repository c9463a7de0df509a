"""Reminders by e-mail: one a day at most to each user, with what the user has to do (rules: S9)."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from app.core.time.clock import utc_now
from app.models.tables import REMINDER
from app.services.timesheets import reminders
from tests.support.cli import error_line
from tests.support.factories import PASSWORD
from tests.support.smtp_server import Mailbox, run_smtp_server
from tests.support.times import hours_ago_utc

TODAY = utc_now().date()
LAST_MONTH = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
AT_ONCE = {"REMIND_AFTER_DAYS": "0"}
"""Setting with which a period counts as soon as it is over. Without it, tests would depend on the day of the month."""


class OneAddressRefused(Mailbox):
    """Rejects e-mails to Ana."""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address == "ana@example.com":
            return "550 No such user"
        return await super().handle_RCPT(server, session, envelope, address, options)


@pytest.fixture
def mailbox():
    with run_smtp_server() as mailbox:
        yield mailbox


@pytest.fixture
def remind(run_command, mailbox):
    """Run the command with the mail server: `remind("--dry-run", REMIND_AFTER_DAYS="0")`."""

    def run(*options, to=mailbox, **settings):
        own = {name: str(value) for name, value in to.settings().items()}
        return run_command("remind", *options, **own | AT_ONCE | settings)

    return run


@pytest.fixture
def mia(people):
    return people.manager("Mia", manager=people.manager("Max"))


@pytest.fixture
def ana(people, mia):
    return people.employee("Ana", manager=mia)


@pytest.fixture
def website(people):
    return people.project("Website")


@pytest.fixture
def monthly(people, as_user):
    people.records_events = True
    set_rule(as_user(people.admin("Ada")), LAST_MONTH, "month")


def set_rule(admin, first_day: date, period: str):
    assert admin.put(f"/admin/timesheet-rules/{first_day}", json={"period": period}).status_code == 200


def submit(caller, user, first_day=LAST_MONTH):
    answer = caller.post(f"/timesheets/{user.id}/{first_day}/submit")
    assert answer.status_code == 200, answer.text


def flag(people, user, project, hour=8):
    people.entry(user, project, f"{LAST_MONTH} {hour:02}:00", f"{LAST_MONTH} {hour:02}:30", needs_review=True)


def recipients(mailbox):
    return sorted(message["To"].partition("@")[0] for message in mailbox.messages)


def text_to(mailbox, name):
    (text,) = (each.get_content() for each in mailbox.messages if each["To"] == f"{name.lower()}@example.com")
    return text


def test_ana_is_reminded_of_her_entries_and_her_month(remind, mailbox, people, ana, website, monthly):
    started = hours_ago_utc(17)
    people.entry(ana, website, started, None)
    flag(people, ana, website)

    reminded = remind()

    assert (reminded.exit_code, reminded.stdout) == (0, "Sent: 1.\n")
    (message,) = mailbox.messages
    last_day = TODAY.replace(day=1) - timedelta(days=1)
    assert (message["To"], message["Subject"]) == ("ana@example.com", "Your hours: 3 things to do")
    assert message.get_content() == (
        "Hello Ana,\n"
        "\n"
        "These entries are still running. Clock out, or correct them:\n"
        f"- Website, since {started[:16]}\n"
        "\n"
        "These entries need review. Correct them, or mark them as reviewed:\n"
        f"- Website, {LAST_MONTH} 08:00 to {LAST_MONTH} 08:30\n"
        "\n"
        "These timesheets are not submitted:\n"
        f"- {LAST_MONTH} to {last_day}\n"
        "\n"
        "You get this e-mail once a day at most, while something is to be done.\n"
    )


def test_times_are_those_of_the_entry(remind, mailbox, people, website):
    kim = people.employee("Kim", time_zone="Asia/Tokyo")
    flag(people, kim, website, hour=20)

    remind()

    day = LAST_MONTH + timedelta(days=1)
    assert f"- Website, {day} 05:00 to {day} 05:30\n" in text_to(mailbox, "Kim")


def test_long_lists_are_cut(remind, mailbox, people, ana, website):
    for hour in range(12):
        flag(people, ana, website, hour)

    remind()

    assert mailbox.messages[0]["Subject"] == "Your hours: 12 things to do"
    assert text_to(mailbox, "Ana").count("- Website") == reminders.MAX_LINES
    assert "- and 2 more\n" in text_to(mailbox, "Ana")


def test_nobody_is_reminded_twice_a_day(remind, mailbox, people, ana, website, database):
    flag(people, ana, website)
    remind()
    second = remind()
    with database.write_transaction() as session:
        session.execute(update(REMINDER).values(day=TODAY - timedelta(days=1)))
    third = remind()

    assert (second.stdout, third.stdout) == ("Sent: 0.\n", "Sent: 1.\n")
    assert recipients(mailbox) == ["ana", "ana"]


def test_an_e_mail_that_is_refused_keeps_no_other_from_being_sent(remind, mailbox, people, ana, mia, website):
    for user in (ana, mia):
        flag(people, user, website)
    with run_smtp_server(OneAddressRefused()) as strict:
        refused = remind(to=strict)
    retried = remind()

    assert (refused.exit_code, refused.stdout) == (1, "Sent: 1.\n")
    assert f"User {ana.id}: The e-mail could not be sent." in refused.stderr
    assert "Not sent: 1." in refused.stderr
    assert (recipients(strict), recipients(mailbox)) == (["mia"], ["ana"])
    assert retried.exit_code == 0


def test_a_mail_server_that_accepts_nothing_is_given_up(remind, people, website):
    for number in range(reminders.MAX_FAILURES + 2):
        flag(people, people.employee(f"Ben{number}"), website)
    with run_smtp_server(Mailbox(MAIL="451 Later")) as closed:
        failed = remind(to=closed)

    assert failed.exit_code == 1
    assert failed.stderr.count(": The e-mail could not be sent.") == reminders.MAX_FAILURES


def test_a_dry_run_prints_what_it_would_send(remind, mailbox, people, ana, website, database):
    flag(people, ana, website)

    dry = remind("--dry-run")

    assert dry.exit_code == 0
    assert dry.stdout.startswith("To: ana@example.com\nSubject: Your hours: 1 thing to do\n\nHello Ana,\n")
    assert dry.stdout.endswith("\nTo be sent: 1.\n")
    with database.read_transaction() as session:
        assert (mailbox.messages, session.execute(select(REMINDER)).all()) == ([], [])


def test_a_leaver_is_not_reminded(remind, mailbox, people, website):
    dan = people.employee("Dan", is_active=False)
    flag(people, dan, website)

    assert remind().stdout == "Sent: 0.\n"


def test_a_period_has_to_be_over_for_some_days(remind, mailbox, people, as_user, website):
    """Ana's week ended yesterday."""
    ana = people.employee("Ana", time_zone="Etc/UTC")
    yesterday = TODAY - timedelta(days=1)
    set_rule(as_user(people.admin("Ada")), yesterday - timedelta(days=6), "week")
    people.entry(ana, website, f"{yesterday} 08:00", f"{yesterday} 08:30")

    sent = [remind(REMIND_AFTER_DAYS=days).stdout for days in ("2", "1", "0")]

    assert sent == ["Sent: 0.\n", "Sent: 0.\n", "Sent: 1.\n"]


class TestDeciders:
    @pytest.fixture
    def submitted(self, people, ana, mia, website, monthly, as_user):
        """Ana and Ben of Mia's team have submitted their months."""
        for user in (ana, people.employee("Ben", manager=mia)):
            submit(as_user(user), user)

    def test_the_manager_is_told_how_many_timesheets_wait(self, remind, mailbox, submitted):
        remind()

        assert recipients(mailbox) == ["mia"]
        assert "Timesheets that wait for your decision: 2, the oldest for 0 days.\n" in text_to(mailbox, "Mia")

    def test_the_manager_above_is_told_in_place_of_one_who_left(self, remind, mailbox, people, as_user, mia, submitted):
        deactivate(people, as_user, mia)
        remind()

        assert recipients(mailbox) == ["max"]

    def test_admins_are_told_where_there_is_no_manager(self, remind, mailbox, people, as_user, monthly):
        cleo = people.employee("Cleo")
        submit(as_user(cleo), cleo)
        remind()

        assert recipients(mailbox) == ["ada"]


def deactivate(people, as_user, user):
    assert as_user(people.admin("Eve")).put(f"/admin/users/{user.id}/deactivate").status_code == 200


def test_where_others_can_reach_the_service_a_mail_server_is_needed(run_command):
    exposed = {"ENVIRONMENT": "production", "FIRST_ADMIN_PASSWORD": PASSWORD}

    assert error_line(run_command("remind", **exposed)) == "SMTP_HOST is missing. Without it, no e-mail can be sent."
    assert run_command("remind", "--dry-run", **exposed).exit_code == 0
