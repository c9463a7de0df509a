"""E-mail to users: by SMTP or, in development, to the log.

An e-mail may contain a link that grants access to an account. Errors and the log events of failures therefore contain
neither its text nor its recipient.
"""

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from typing import ClassVar, Protocol

import aiosmtplib
import structlog
from email_validator import ValidatedEmail

from app.core.config.settings import InvalidSettings, Settings, SmtpTls
from app.core.email_addresses import parse_address
from app.core.errors import Unavailable
from app.core.time.clock import utc_now

TIMEOUT_SECONDS = 10
_LINE_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_log = structlog.get_logger()


class MailNotSent(Unavailable):
    code = "mail_not_sent"
    title = "E-mail not sent"
    retry_after_seconds = 60
    may_have_arrived = False
    """True if the connection broke after it was open, so that the mail server may have accepted the e-mail."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A plain text e-mail to one recipient.

    Raises ValueError if the address or the subject has a line break, which would allow header injection.
    """

    to: str
    subject: str
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if _LINE_BREAK.search(self.to + self.subject):
            raise ValueError("The address and the subject of an e-mail must be one line each.")


class Mailer(Protocol):
    delivers: ClassVar[bool]
    """False if e-mails are only logged."""

    async def send(self, mail: Mail) -> None:
        """Send the e-mail. The mail server has accepted it when this returns. Raises MailNotSent."""


class SmtpMailer:
    """Sends each e-mail over a new connection to SMTP_HOST, within `timeout_seconds` in total."""

    delivers: ClassVar[bool] = True

    def __init__(self, settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        assert settings.MAIL_FROM is not None  # checked by Settings.ensure_valid()
        sender = parse_address(settings.MAIL_FROM)
        self._settings = settings
        self._sender, self._domain = _format_address(sender), sender.ascii_domain
        self._ssl_context = None if settings.SMTP_TLS is SmtpTls.none else settings.smtp_ssl_context
        self._timeout_seconds = timeout_seconds

    async def send(self, mail: Mail) -> None:
        is_connected = is_accepted = False
        client = self._client()
        try:
            message = self._message(mail)
            async with asyncio.timeout(self._timeout_seconds):
                await client.connect()
                is_connected = True
                await client.send_message(message)
                is_accepted = True
                await client.quit()
        except Exception as error:
            if is_accepted:
                return  # only QUIT failed
            # The message and the cause of the error are left out: they may quote addresses or the text.
            _log.warning("mail_not_sent", error=type(error).__name__, status=_smtp_status(error))
            not_sent = MailNotSent("The e-mail could not be sent. Try again later, or contact your admin.")
            not_sent.may_have_arrived = is_connected and isinstance(error, OSError)  # also a timeout
            raise not_sent from None
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.SMTP_HOST,
            port=settings.SMTP_PORT,
            username=settings.SMTP_USER,
            password=settings.SMTP_PASSWORD.get_secret_value() if settings.SMTP_PASSWORD else None,
            use_tls=settings.SMTP_TLS is SmtpTls.tls,
            start_tls=settings.SMTP_TLS
            is SmtpTls.starttls,  # required, not opportunistic: an attacker could strip the offer
            tls_context=self._ssl_context,
            local_hostname=self._domain,  # otherwise the name is looked up in DNS, which may block
            timeout=self._timeout_seconds,
        )

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = _format_address(parse_address(mail.to))
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(utc_now())
        message["Message-ID"] = f"<{secrets.token_hex(16)}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # prevents automatic replies (RFC 3834)
        message.set_content(mail.text)
        return message


class LogMailer:
    """Writes e-mails to the log, in development. Raises InvalidSettings if the service is exposed."""

    delivers: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        if settings.is_exposed:
            raise InvalidSettings(
                "SMTP_HOST is missing. E-mails contain links that grant access, so they must not be logged."
            )

    async def send(self, mail: Mail) -> None:
        _log.info("email_logged", to=mail.to, subject=mail.subject, text=mail.text)


def create_mailer(settings: Settings) -> Mailer | None:
    """Return an SMTP mailer if SMTP_HOST is set, else a log mailer, or None if the service is exposed.

    Without a mailer, the response to the admin contains the link.
    """
    if settings.SMTP_HOST is not None:
        return SmtpMailer(settings)
    return None if settings.is_exposed else LogMailer(settings)


def _format_address(address: ValidatedEmail) -> str:
    """ASCII if possible, for any server. Other letters before the @ require a server with SMTPUTF8."""
    return address.ascii_email or address.normalized


def _smtp_status(error: Exception) -> int | None:
    """SMTP reply code with which the server rejected the e-mail, or None."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return error.recipients[0].code
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
