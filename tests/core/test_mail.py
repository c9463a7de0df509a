"""A letter arrives as it was written, or MailNotSent says that it didn't, and nothing else (threats 17)."""

import asyncio
import json
import threading

import pytest
from structlog.testing import capture_logs

from app.core.config.settings import BadSettings, Settings
from app.core.mail import Letter, LogMailer, MailNotSent, SmtpMailer, mailer_for
from app.core.server.runtime import Runtime
from tests.support.databases import settings_for
from tests.support.smtp_server import Postbox, lets_in, listening, own_certificate, postbox

LINK = "https://time.example.com/reset#marker-7f3a"
LETTER = Letter(to="ana@example.com", subject="Your new password", text=f"Hello Ana,\n\n{LINK}\n")
RUNNING: list[asyncio.AbstractEventLoop] = []
PASSWORD = "marker-of-the-mail-server"


def settings(**values: object) -> Settings:
    return settings_for("sqlite:///unused.db", **values)


@pytest.fixture(scope="module", autouse=True)
def _running_loop():
    """An event loop that goes on after a letter, as a service's does: a connection needs one to close."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mailer")
    thread.start()
    RUNNING.append(loop)
    yield
    RUNNING.remove(loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


def send(letter: Letter, *, timeout_seconds: float = 10, **values: object) -> None:
    mailer = SmtpMailer(settings(**values), timeout_seconds=timeout_seconds)
    asyncio.run_coroutine_threadsafe(mailer.send(letter), RUNNING[0]).result(30)


def refused(letter: Letter = LETTER, **options: object) -> MailNotSent:
    """The error with which the letter was not sent; neither it nor the log tells anything of the letter."""
    with capture_logs() as logged, pytest.raises(MailNotSent) as not_sent:
        send(letter, **options)
    error = not_sent.value
    assert [line["event"] for line in logged] == ["mail_not_sent"]
    told = json.dumps([error.detail, error.facts, str(error), repr(error), logged])
    for secret in (letter.to, letter.text, LINK, PASSWORD, "marker", "ana", "example.com"):
        assert secret not in told
    assert error.__suppress_context__
    return error


def status(letter: Letter = LETTER, **options: object) -> int | None:
    """The number with which the server refused, as the log has it."""
    with capture_logs() as logged, pytest.raises(MailNotSent):
        send(letter, **options)
    return int(logged[0]["status"])


def test_a_letter_arrives_as_it_was_written():
    with postbox() as box:
        send(LETTER, **box.settings())

    (letter,), (envelope,) = box.letters, box.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ett@example.com", ["ana@example.com"])
    assert (letter["From"], letter["To"], letter["Subject"]) == ("ett@example.com", LETTER.to, LETTER.subject)
    assert letter.get_content() == LETTER.text
    assert letter.get_content_type() == "text/plain"


def test_a_letter_has_a_date_and_an_id_of_its_own_and_wants_no_automatic_answer():
    with postbox() as box:
        send(LETTER, **box.settings())
        send(LETTER, **box.settings())

    first, second = box.letters
    assert first["Date"].datetime.tzinfo is not None
    assert first["Message-ID"].endswith("@example.com>")
    assert first["Message-ID"] != second["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "text",
    [
        "Grüße aus Zürich, 你好 \U0001f550\n",
        ".\n..\n.x\nA dot alone ends a letter, unless somebody looks after it.\n",
        f"{'a long line ' * 500}\n",
        f"{'ü' * 3000}\n",
        "From here\n\n\nto there \n",
    ],
    ids=["not ASCII", "dots", "long line", "long and not ASCII", "blanks"],
)
def test_any_text_arrives(text):
    with postbox() as box:
        send(Letter(to="ana@example.com", subject="Words", text=text), **box.settings())

    assert box.letters[0].get_content() == text


@pytest.mark.parametrize(
    "subject", ["Grüße aus Zürich", "你好 \U0001f550", "ü" * 200, "word " * 100 + "end", "=?utf-8?q?x?="]
)
def test_any_subject_arrives_and_stays_one(subject):
    with postbox() as box:
        send(Letter(to="ana@example.com", subject=subject, text="Hello"), **box.settings())

    assert str(box.letters[0]["Subject"]) == subject.replace("=?utf-8?q?x?=", "x")
    assert len(box.letters[0].get_all("Subject")) == 1


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_header_gets_in_with_an_address_or_a_subject(end):
    evil = f"{end}Bcc: mallory@example.com"

    with pytest.raises(ValueError, match="one line each"):
        Letter(to="ana@example.com", subject=f"Hello{evil}", text="")
    with pytest.raises(ValueError, match="one line each"):
        Letter(to=f"ana@example.com{evil}", subject="Hello", text="")
    with pytest.raises(ValueError, match="one line each"):
        Letter(to="ana@example.com", subject=f"Hello{end}", text="")


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
    with postbox() as box, pytest.raises(MailNotSent):
        send(Letter(to=to, subject="Hello", text=LINK), **box.settings())

    assert box.letters == []


def test_a_text_that_cannot_be_written_is_not_sent():
    with postbox() as box:
        refused(Letter(to="ana@example.com", subject="Hello", text="\udcff"), **box.settings())


def test_an_address_with_letters_of_any_script_gets_its_letter_where_the_server_can():
    with postbox() as box:
        send(Letter(to="jürgen@example.com", subject="Hallo", text="Grüße"), **box.settings())

    (envelope,) = box.envelopes
    assert envelope.rcpt_tos == ["jürgen@example.com"]
    assert "SMTPUTF8" in envelope.mail_options
    assert "\r\nTo: jürgen@example.com\r\n".encode() in envelope.content


def test_where_the_server_cannot_write_such_an_address_the_letter_is_not_sent():
    with postbox(enable_SMTPUTF8=False) as box:
        refused(Letter(to="jürgen@example.com", subject="Hallo", text="Grüße"), **box.settings())

    assert box.letters == []


def test_a_domain_in_any_script_is_written_so_that_every_server_can_read_it():
    with postbox(enable_SMTPUTF8=False) as box:
        send(Letter(to="ana@münchen.de", subject="Hallo", text="Grüße"), **box.settings(MAIL_FROM="ett@zürich.ch"))

    (envelope,) = box.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ett@xn--zrich-kva.ch", ["ana@xn--mnchen-3ya.de"])


def test_a_letter_goes_encrypted_to_a_server_that_we_trust_and_that_knows_us(tmp_path):
    certificate, context = own_certificate(tmp_path)
    guarded = {"authenticator": lets_in("ett", PASSWORD), "auth_required": True}
    with postbox(tls_context=context, require_starttls=True, **guarded) as box:
        own = box.settings(SMTP_TLS="starttls", SMTP_CA_FILE=certificate, SMTP_USER="ett", SMTP_PASSWORD=PASSWORD)
        send(LETTER, **own)

        assert status(**own | {"SMTP_PASSWORD": f"not {PASSWORD}"}) == 535
        refused(**own | {"SMTP_PASSWORD": f"not {PASSWORD}"})
        refused(**own | {"SMTP_USER": None, "SMTP_PASSWORD": None})

    assert len(box.letters) == 1
    assert box.sessions[0].authenticated
    assert box.sessions[0].ssl is not None


def test_a_server_that_speaks_tls_from_the_first_byte_gets_the_letter_too(tmp_path):
    certificate, context = own_certificate(tmp_path)
    with postbox(tls_at_once=context) as box:
        send(LETTER, **box.settings(SMTP_TLS="tls", SMTP_CA_FILE=certificate))
        refused(**box.settings(SMTP_TLS="tls"))

    assert len(box.letters) == 1


def test_a_server_whose_certificate_nobody_vouches_for_gets_neither_letter_nor_password(tmp_path):
    _, context = own_certificate(tmp_path)
    seen: list[object] = []

    def listen_in(*told: object) -> None:
        seen.append(told)

    with postbox(tls_context=context, authenticator=listen_in) as box:
        refused(**box.settings(SMTP_TLS="starttls", SMTP_USER="ett", SMTP_PASSWORD=PASSWORD))

    assert (seen, box.letters) == ([], [])


def test_a_server_that_offers_no_encryption_gets_nothing_where_encryption_was_asked_for():
    with postbox(auth_require_tls=False, authenticator=lets_in("ett", PASSWORD)) as box:
        refused(**box.settings(SMTP_TLS="starttls", SMTP_USER="ett", SMTP_PASSWORD=PASSWORD))

    assert box.letters == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_refuses_is_an_error_with_its_number_in_the_log(command):
    quoting = f"550 No {LETTER.to} here, said {LINK}"
    with postbox(Postbox(**{command: quoting})) as box:
        refused(**box.settings())

        assert status(**box.settings()) == 550


def test_a_letter_that_was_taken_is_sent_whatever_the_server_says_afterwards():
    with postbox(Postbox(QUIT="421 Who are you?")) as box:
        send(LETTER, **box.settings())

    assert len(box.letters) == 1


class SaysNothing(asyncio.Protocol):
    pass


class HangsUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Babbles(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff\xfe" + b"x" * 1_000_000)


class HangsUpMidway(Postbox):
    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        server.transport.close()
        return "250 OK"


class FallsSilent(Postbox):
    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        await asyncio.Event().wait()
        return "250 OK"


class FallsSilentAfterwards(Postbox):
    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        await asyncio.Event().wait()
        return "221 Bye"


@pytest.mark.parametrize("server", [HangsUp, Babbles])
def test_what_is_no_mail_server_is_an_error(server):
    with listening(server) as port:
        refused(**Postbox().settings(SMTP_PORT=port))


def test_where_nobody_listens_it_is_an_error():
    with listening(SaysNothing) as port:
        pass

    refused(**Postbox().settings(SMTP_PORT=port))


def test_a_server_that_hangs_up_midway_is_an_error():
    with postbox(HangsUpMidway()) as box:
        refused(**box.settings())


def test_a_server_that_never_answers_is_an_error_after_the_time_out():
    with listening(SaysNothing) as port:
        refused(timeout_seconds=0.1, **Postbox().settings(SMTP_PORT=port))


def test_a_server_that_falls_silent_midway_is_an_error_after_the_time_out():
    with postbox(FallsSilent()) as box:
        refused(timeout_seconds=0.5, **box.settings())


def test_a_server_that_took_the_letter_and_falls_silent_has_it():
    with postbox(FallsSilentAfterwards()) as box:
        send(LETTER, timeout_seconds=0.5, **box.settings())

    assert len(box.letters) == 1


def test_a_developer_without_a_mail_server_finds_letters_in_the_log():
    mailer = mailer_for(settings())
    assert isinstance(mailer, LogMailer)

    with capture_logs() as logged:
        asyncio.run(mailer.send(LETTER))

    (line,) = logged
    assert (line["event"], line["to"], line["subject"], line["text"]) == (
        "email_logged",
        LETTER.to,
        LETTER.subject,
        LETTER.text,
    )


@pytest.mark.parametrize("exposed", [{"ENVIRONMENT": "production"}, {"HOST": "0.0.0.0"}])
def test_where_others_can_reach_the_service_no_letter_gets_into_the_log(exposed):
    assert mailer_for(settings(**exposed)) is None
    with pytest.raises(BadSettings, match="SMTP_HOST is missing"):
        LogMailer(settings(**exposed))


@pytest.mark.parametrize("exposed", [{}, {"ENVIRONMENT": "production"}])
def test_where_there_is_a_mail_server_it_gets_the_letters(exposed):
    assert isinstance(mailer_for(settings(**Postbox().settings(**exposed))), SmtpMailer)


def test_the_running_service_has_the_mailer_of_its_settings(tmp_path):
    runtime = Runtime(settings_for(f"sqlite:///{tmp_path}/ett.db", **Postbox().settings()))

    assert isinstance(runtime.mailer, SmtpMailer)
    runtime.close()


def test_a_letter_does_not_show_its_text_when_it_is_printed():
    assert LINK not in repr(LETTER)
