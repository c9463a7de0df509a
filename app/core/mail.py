"""Letters to people: by SMTP, or in development into the log. None where neither may be, and then the caller shows it.

A letter may hold a link that lets its reader in, so nothing of it, nor whom it is for, is in an error or beside it in
the log.
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
from email_validator import ValidatedEmail, validate_email

from app.core.config.settings import InvalidSettings, Settings, SmtpTls
from app.core.errors import Unavailable
from app.core.time.clock import utc_now

TIMEOUT_SECONDS = 10
_LINE_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_log = structlog.get_logger()


class MailNotSent(Unavailable):
    code = "mail_not_sent"
    title = "E-mail not sent"
    retry_after_seconds = 60


@dataclass(frozen=True, slots=True)
class Mail:
    """Plain text for one person. Raises ValueError where address or subject isn't one line: no header gets in there."""

    to: str
    subject: str
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if _LINE_BREAK.search(self.to + self.subject):
            raise ValueError("The address and the subject of a letter are one line each.")


class Mailer(Protocol):
    delivers: ClassVar[bool]
    """Whether a letter gets to whom it is for, or only into the log."""

    async def send(self, mail: Mail) -> None:
        """Send the letter; it is on its way when this returns. Raises MailNotSent."""


class SmtpMailer:
    """Hands letters to the server of SMTP_HOST, each on a connection of its own, in `timeout_seconds` in all."""

    delivers: ClassVar[bool] = True

    def __init__(self, settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        assert settings.MAIL_FROM is not None  # Settings.ensure_valid() saw to it
        sender = _parse_address(settings.MAIL_FROM)
        self._settings = settings
        self._sender, self._domain = _format_address(sender), sender.ascii_domain
        self._ssl_context = None if settings.SMTP_TLS is SmtpTls.none else settings.smtp_ssl_context
        self._timeout_seconds = timeout_seconds

    async def send(self, mail: Mail) -> None:
        is_accepted = False
        client = self._client()
        try:
            message = self._message(mail)
            async with asyncio.timeout(self._timeout_seconds):
                await client.connect()
                await client.send_message(message)
                is_accepted = True
                await client.quit()
        except Exception as error:
            if is_accepted:
                return  # only the goodbye failed
            # Neither its words nor what it came from: servers and libraries quote addresses, and worse, in them.
            _log.warning("mail_not_sent", error=type(error).__name__, status=_smtp_status(error))
            raise MailNotSent("The mail could not be sent. Try again in a while, or tell your admin.") from None
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
            start_tls=settings.SMTP_TLS is SmtpTls.starttls,  # never "if offered": who listens in could unoffer it
            tls_context=self._ssl_context,
            local_hostname=self._domain,  # else it asks the DNS for a name, for as long as that takes
            timeout=self._timeout_seconds,
        )

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = _format_address(_parse_address(mail.to))
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(utc_now())
        message["Message-ID"] = f"<{secrets.token_hex(16)}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # so that nobody's holiday answers (RFC 3834)
        message.set_content(mail.text)
        return message


class LogMailer:
    """Prints letters to the log, for developers. Raises InvalidSettings where others can reach the service."""

    delivers: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        if settings.is_exposed:
            raise InvalidSettings(
                "SMTP_HOST is missing: letters hold links that let their readers in, so no log gets them."
            )

    async def send(self, mail: Mail) -> None:
        _log.info("email_logged", to=mail.to, subject=mail.subject, text=mail.text)


def create_mailer(settings: Settings) -> Mailer | None:
    """By SMTP where there is a server; else to the log in development; else None: show it to whoever asked for it."""
    if settings.SMTP_HOST is not None:
        return SmtpMailer(settings)
    return None if settings.is_exposed else LogMailer(settings)


def _parse_address(address: str) -> ValidatedEmail:
    return validate_email(address, check_deliverability=False)


def _format_address(address: ValidatedEmail) -> str:
    """In ASCII if that can be, for every server; letters of other scripts before the @ need one with SMTPUTF8."""
    return address.ascii_email or address.normalized


def _smtp_status(error: Exception) -> int | None:
    """The number with which the server refused, if it did."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return error.recipients[0].code
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
