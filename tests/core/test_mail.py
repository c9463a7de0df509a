"""An e-mail arrives unchanged, or MailNotSent is raised without any of its content (threats 17)."""

import asyncio
import json
import threading

import pytest
from structlog.testing import capture_logs

from app.core.config.settings import InvalidSettings, Settings
from app.core.mail import LogMailer, Mail, MailNotSent, SmtpMailer, create_mailer
from app.core.server.runtime import Runtime
from tests.support.databases import settings_for
from tests.support.smtp_server import (
    Mailbox,
    run_smtp_server,
    run_tcp_server,
    self_signed_certificate,
    single_user_authenticator,
)

LINK = "https://time.example.com/reset#marker-7f3a"
EMAIL = Mail(to="ana@example.com", subject="Your new password", text=f"Hello Ana,\n\n{LINK}\n")
RUNNING: list[asyncio.AbstractEventLoop] = []
PASSWORD = "marker-of-the-mail-server"


def settings(**values: object) -> Settings:
    return settings_for("sqlite:///unused.db", **values)


@pytest.fixture(scope="module", autouse=True)
def _running_loop():
    """Run an event loop that outlives each e-mail, as in the service, because connections need it to close."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mailer")
    thread.start()
    RUNNING.append(loop)
    yield
    RUNNING.remove(loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


def send(mail: Mail, *, timeout_seconds: float = 10, **values: object) -> None:
    mailer = SmtpMailer(settings(**values), timeout_seconds=timeout_seconds)
    asyncio.run_coroutine_threadsafe(mailer.send(mail), RUNNING[0]).result(30)


def send_error(mail: Mail = EMAIL, **options: object) -> MailNotSent:
    """Return the error of an e-mail that is not sent, and assert that error and log contain nothing of it."""
    with capture_logs() as logged, pytest.raises(MailNotSent) as not_sent:
        send(mail, **options)
    error = not_sent.value
    assert [line["event"] for line in logged] == ["mail_not_sent"]
    error_text = json.dumps([error.detail, error.extensions, str(error), repr(error), logged])
    for secret in (mail.to, mail.text, LINK, PASSWORD, "marker", "ana", "example.com"):
        assert secret not in error_text
    assert error.__suppress_context__
    return error


def smtp_status(mail: Mail = EMAIL, **options: object) -> int | None:
    """Return the logged SMTP reply code with which the server rejected the e-mail."""
    with capture_logs() as logged, pytest.raises(MailNotSent):
        send(mail, **options)
    return int(logged[0]["status"])


def test_a_letter_arrives_as_it_was_written():
    with run_smtp_server() as mailbox:
        send(EMAIL, **mailbox.settings())

    (mail,), (envelope,) = mailbox.messages, mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ett@example.com", ["ana@example.com"])
    assert (mail["From"], mail["To"], mail["Subject"]) == ("ett@example.com", EMAIL.to, EMAIL.subject)
    assert mail.get_content() == EMAIL.text
    assert mail.get_content_type() == "text/plain"


def test_a_letter_has_a_date_and_an_id_of_its_own_and_wants_no_automatic_answer():
    with run_smtp_server() as mailbox:
        send(EMAIL, **mailbox.settings())
        send(EMAIL, **mailbox.settings())

    first, second = mailbox.messages
    assert first["Date"].datetime.tzinfo is not None
    assert first["Message-ID"].endswith("@example.com>")
    assert first["Message-ID"] != second["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "text",
    [
        "Grüße aus Zürich, 你好 \U0001f550\n",
        ".\n..\n.x\nA line with only a dot ends an e-mail, unless it is escaped.\n",
        f"{'a long line ' * 500}\n",
        f"{'ü' * 3000}\n",
        "From here\n\n\nto there \n",
    ],
    ids=["not ASCII", "dots", "long line", "long and not ASCII", "blanks"],
)
def test_any_text_arrives(text):
    with run_smtp_server() as mailbox:
        send(Mail(to="ana@example.com", subject="Words", text=text), **mailbox.settings())

    assert mailbox.messages[0].get_content() == text


@pytest.mark.parametrize(
    "subject", ["Grüße aus Zürich", "你好 \U0001f550", "ü" * 200, "word " * 100 + "end", "=?utf-8?q?x?="]
)
def test_any_subject_arrives_and_stays_one(subject):
    with run_smtp_server() as mailbox:
        send(Mail(to="ana@example.com", subject=subject, text="Hello"), **mailbox.settings())

    assert str(mailbox.messages[0]["Subject"]) == subject.replace("=?utf-8?q?x?=", "x")
    assert len(mailbox.messages[0].get_all("Subject")) == 1


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_header_gets_in_with_an_address_or_a_subject(end):
    evil = f"{end}Bcc: mallory@example.com"

    with pytest.raises(ValueError, match="one line each"):
        Mail(to="ana@example.com", subject=f"Hello{evil}", text="")
    with pytest.raises(ValueError, match="one line each"):
        Mail(to=f"ana@example.com{evil}", subject="Hello", text="")
    with pytest.raises(ValueError, match="one line each"):
        Mail(to="ana@example.com", subject=f"Hello{end}", text="")


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ana",
        "ana@example.com, mallory@example.com",
        "Ana <ana@example.com>",
        "<ana@example.com> NOTIFY=NEVER",
        "ana@example.com>",
        '"ana bob"@example.com',
        "ana@-example.com",
        "\udcff@example.com",
    ],
)
def test_what_is_no_address_gets_no_letter(to):
    with run_smtp_server() as mailbox, pytest.raises(MailNotSent):
        send(Mail(to=to, subject="Hello", text=LINK), **mailbox.settings())

    assert mailbox.messages == []


def test_a_text_that_cannot_be_written_is_not_sent():
    with run_smtp_server() as mailbox:
        send_error(Mail(to="ana@example.com", subject="Hello", text="\udcff"), **mailbox.settings())


def test_an_address_with_letters_of_any_script_gets_its_letter_where_the_server_can():
    with run_smtp_server() as mailbox:
        send(Mail(to="jürgen@example.com", subject="Hallo", text="Grüße"), **mailbox.settings())

    (envelope,) = mailbox.envelopes
    assert envelope.rcpt_tos == ["jürgen@example.com"]
    assert "SMTPUTF8" in envelope.mail_options
    assert "\r\nTo: jürgen@example.com\r\n".encode() in envelope.content


def test_where_the_server_cannot_write_such_an_address_the_letter_is_not_sent():
    with run_smtp_server(enable_SMTPUTF8=False) as mailbox:
        send_error(Mail(to="jürgen@example.com", subject="Hallo", text="Grüße"), **mailbox.settings())

    assert mailbox.messages == []


def test_a_domain_in_any_script_is_written_so_that_every_server_can_read_it():
    with run_smtp_server(enable_SMTPUTF8=False) as mailbox:
        send(Mail(to="ana@münchen.de", subject="Hallo", text="Grüße"), **mailbox.settings(MAIL_FROM="ett@zürich.ch"))

    (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ett@xn--zrich-kva.ch", ["ana@xn--mnchen-3ya.de"])


def test_an_email_goes_to_a_host_of_the_company_network():
    with run_smtp_server() as mailbox:
        mail = Mail(to="hans@firma.local", subject="Hello", text="Hello Hans")
        send(mail, **mailbox.settings(MAIL_FROM="time@intranet"))

    (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("time@intranet", ["hans@firma.local"])


def test_a_letter_goes_encrypted_to_a_server_that_we_trust_and_that_knows_us(tmp_path):
    certificate, context = self_signed_certificate(tmp_path)
    guarded = {"authenticator": single_user_authenticator("ett", PASSWORD), "auth_required": True}
    with run_smtp_server(tls_context=context, require_starttls=True, **guarded) as mailbox:
        own = mailbox.settings(SMTP_TLS="starttls", SMTP_CA_FILE=certificate, SMTP_USER="ett", SMTP_PASSWORD=PASSWORD)
        send(EMAIL, **own)

        assert smtp_status(**own | {"SMTP_PASSWORD": f"not {PASSWORD}"}) == 535
        send_error(**own | {"SMTP_PASSWORD": f"not {PASSWORD}"})
        send_error(**own | {"SMTP_USER": None, "SMTP_PASSWORD": None})

    assert len(mailbox.messages) == 1
    assert mailbox.sessions[0].authenticated
    assert mailbox.sessions[0].ssl is not None


def test_a_server_that_speaks_tls_from_the_first_byte_gets_the_letter_too(tmp_path):
    certificate, context = self_signed_certificate(tmp_path)
    with run_smtp_server(implicit_tls=context) as mailbox:
        send(EMAIL, **mailbox.settings(SMTP_TLS="tls", SMTP_CA_FILE=certificate))
        send_error(**mailbox.settings(SMTP_TLS="tls"))

    assert len(mailbox.messages) == 1


def test_a_server_whose_certificate_nobody_vouches_for_gets_neither_letter_nor_password(tmp_path):
    _, context = self_signed_certificate(tmp_path)
    seen: list[object] = []

    def capture(*error_text: object) -> None:
        seen.append(error_text)

    with run_smtp_server(tls_context=context, authenticator=capture) as mailbox:
        send_error(**mailbox.settings(SMTP_TLS="starttls", SMTP_USER="ett", SMTP_PASSWORD=PASSWORD))

    assert (seen, mailbox.messages) == ([], [])


def test_a_server_that_offers_no_encryption_gets_nothing_where_encryption_was_asked_for():
    with run_smtp_server(auth_require_tls=False, authenticator=single_user_authenticator("ett", PASSWORD)) as mailbox:
        send_error(**mailbox.settings(SMTP_TLS="starttls", SMTP_USER="ett", SMTP_PASSWORD=PASSWORD))

    assert mailbox.messages == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_refuses_is_an_error_with_its_number_in_the_log(command):
    quoting = f"550 No {EMAIL.to} here, said {LINK}"
    with run_smtp_server(Mailbox(**{command: quoting})) as mailbox:
        send_error(**mailbox.settings())

        assert smtp_status(**mailbox.settings()) == 550


def test_a_letter_that_was_taken_is_sent_whatever_the_server_says_afterwards():
    with run_smtp_server(Mailbox(QUIT="421 Who are you?")) as mailbox:
        send(EMAIL, **mailbox.settings())

    assert len(mailbox.messages) == 1


class SilentServer(asyncio.Protocol):
    pass


class ClosingServer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class GarbageServer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff\xfe" + b"x" * 1_000_000)


class ClosesDuringData(Mailbox):
    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        server.transport.close()
        return "250 OK"


class HangsDuringData(Mailbox):
    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        await asyncio.Event().wait()
        return "250 OK"


class HangsAfterQuit(Mailbox):
    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        await asyncio.Event().wait()
        return "221 Bye"


@pytest.mark.parametrize("server", [ClosingServer, GarbageServer])
def test_what_is_no_mail_server_is_an_error(server):
    with run_tcp_server(server) as port:
        send_error(**Mailbox().settings(SMTP_PORT=port))


def test_where_nobody_listens_it_is_an_error():
    with run_tcp_server(SilentServer) as port:
        pass

    send_error(**Mailbox().settings(SMTP_PORT=port))


def test_a_server_that_hangs_up_midway_is_an_error():
    with run_smtp_server(ClosesDuringData()) as mailbox:
        send_error(**mailbox.settings())


def test_a_server_that_never_answers_is_an_error_after_the_time_out():
    with run_tcp_server(SilentServer) as port:
        send_error(timeout_seconds=0.1, **Mailbox().settings(SMTP_PORT=port))


def test_a_server_that_falls_silent_midway_is_an_error_after_the_time_out():
    with run_smtp_server(HangsDuringData()) as mailbox:
        send_error(timeout_seconds=0.5, **mailbox.settings())


def test_a_server_that_took_the_letter_and_falls_silent_has_it():
    with run_smtp_server(HangsAfterQuit()) as mailbox:
        send(EMAIL, timeout_seconds=0.5, **mailbox.settings())

    assert len(mailbox.messages) == 1


def test_a_developer_without_a_mail_server_finds_letters_in_the_log():
    mailer = create_mailer(settings())
    assert isinstance(mailer, LogMailer)

    with capture_logs() as logged:
        asyncio.run(mailer.send(EMAIL))

    (line,) = logged
    assert (line["event"], line["to"], line["subject"], line["text"]) == (
        "email_logged",
        EMAIL.to,
        EMAIL.subject,
        EMAIL.text,
    )


@pytest.mark.parametrize("exposed", [{"ENVIRONMENT": "production"}, {"HOST": "0.0.0.0"}])
def test_where_others_can_reach_the_service_no_letter_gets_into_the_log(exposed):
    assert create_mailer(settings(**exposed)) is None
    with pytest.raises(InvalidSettings, match="SMTP_HOST is missing"):
        LogMailer(settings(**exposed))


@pytest.mark.parametrize("exposed", [{}, {"ENVIRONMENT": "production"}])
def test_where_there_is_a_mail_server_it_gets_the_letters(exposed):
    assert isinstance(create_mailer(settings(**Mailbox().settings(**exposed))), SmtpMailer)


def test_the_running_service_has_the_mailer_of_its_settings(tmp_path):
    runtime = Runtime(settings_for(f"sqlite:///{tmp_path}/ett.db", **Mailbox().settings()))

    assert isinstance(runtime.mailer, SmtpMailer)
    runtime.close()


def test_a_letter_does_not_show_its_text_when_it_is_printed():
    assert LINK not in repr(EMAIL)
