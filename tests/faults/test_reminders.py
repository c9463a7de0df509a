"""Reminders at once and after a crash: nobody gets two in a day (rules: S9). The commands are real processes."""

import asyncio
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from tests.support.cli import clean_environment
from tests.support.databases import SECRET_KEY
from tests.support.server_process import ROOT
from tests.support.smtp_server import Mailbox, run_smtp_server

TIMEOUT_SECONDS = 60


class SlowMailbox(Mailbox):
    """Answers no e-mail before this number of them has arrived. `has_arrived` is set with the first."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.missing, self.are_complete = expected, asyncio.Event()
        self.has_arrived = threading.Event()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.has_arrived.set()
        self.missing -= 1
        if self.missing <= 0:
            self.are_complete.set()
        await self.are_complete.wait()
        return await super().handle_DATA(server, session, envelope)


class BrokenMailbox(Mailbox):
    """Closes the connection when it has the e-mail, instead of answering."""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        await super().handle_DATA(server, session, envelope)
        server.transport.abort()
        return "250 OK"


@pytest.fixture
def start(db_url, tmp_path):
    """Start `remind` in a process of its own: `start(mailbox)`."""
    with ExitStack() as stack:

        def run(mailbox):
            settings = {name: str(value) for name, value in mailbox.settings().items()}
            environment = clean_environment(PYTHONPATH=str(ROOT), DB_URL=db_url, SECRET_KEY=SECRET_KEY, **settings)
            command = [sys.executable, "-m", "app.cli", "remind"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = stack.enter_context(subprocess.Popen(command, env=environment, cwd=tmp_path, text=True, **pipes))
            stack.callback(process.kill)
            return process

        yield run


@pytest.fixture(autouse=True)
def reviewable(people):
    """Ana and Bob have an entry to review each."""
    website = people.project("Website")
    for name in ("Ana", "Bob"):
        people.entry(people.employee(name), website, "2026-03-02 08:00", "2026-03-03 08:00", needs_review=True)


def recipients(mailbox):
    return sorted(message["To"].partition("@")[0] for message in mailbox.messages)


def finish(command):
    """Return the exit code and the last line of the output, before which the log may be."""
    output, _ = command.communicate(timeout=TIMEOUT_SECONDS)
    return command.returncode, output.splitlines()[-1]


def test_two_commands_at_once_send_each_reminder_once(start):
    with run_smtp_server(SlowMailbox(expected=2)) as mailbox:
        results = [finish(command) for command in [start(mailbox), start(mailbox)]]

    assert results == [(0, "Sent: 1.")] * 2
    assert recipients(mailbox) == ["ana", "bob"]


def test_a_reminder_on_which_the_command_was_killed_is_not_sent_again(start):
    with run_smtp_server(SlowMailbox(expected=2)) as mailbox:
        killed = start(mailbox)
        assert mailbox.has_arrived.wait(TIMEOUT_SECONDS)
        killed.send_signal(signal.SIGKILL)
        killed.wait(TIMEOUT_SECONDS)

        assert finish(start(mailbox)) == (0, "Sent: 1.")

    assert recipients(mailbox).count("bob") == 1


def test_a_reminder_that_may_have_arrived_is_not_sent_again(start):
    with run_smtp_server(BrokenMailbox()) as broken, run_smtp_server() as mailbox:
        assert finish(start(broken)) == (1, "Sent: 0.")
        assert finish(start(mailbox)) == (0, "Sent: 0.")

    assert recipients(broken) == ["ana", "bob"]
