"""An SMTP server for tests, in a thread on a free port, and TCP servers that behave wrongly."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.core.time.clock import utc_now

ADDRESS = "127.0.0.1"


class Mailbox:
    """Received messages and their envelopes. `refusals` maps a command to an error reply: {"RCPT": "550 No"}."""

    port = 25

    def __init__(self, **refusals: str) -> None:
        self.messages: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []
        self.refusals = refusals

    def settings(self, **changes: object) -> dict[str, object]:
        """Return settings of a service that sends its mail to this server without TLS."""
        own = {"SMTP_HOST": ADDRESS, "SMTP_PORT": self.port, "SMTP_TLS": "none", "MAIL_FROM": "ett@example.com"}
        return own | changes

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.refusals.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.refusals.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.refusals:
            return self.refusals["DATA"]
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content.replace(b"\r\n", b"\n"), policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.refusals.get("QUIT", "221 Bye")


@contextmanager
def run_smtp_server(
    mailbox: Mailbox | None = None, *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Mailbox]:
    """Run an SMTP server that stores its messages. Options are those of aiosmtpd's SMTP."""
    mailbox = mailbox or Mailbox()
    own = {"hostname": "mail.example.com", "enable_SMTPUTF8": True} | options
    with run_tcp_server(partial(SMTP, mailbox, **own), implicit_tls) as port:
        mailbox.port = port
        yield mailbox


@contextmanager
def run_tcp_server(protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a server with this protocol until the block ends, and return its port."""
    loop, is_ready, ports = asyncio.new_event_loop(), threading.Event(), [0]
    stop_requested = asyncio.Event()
    transports: list[asyncio.WriteTransport] = []

    def recording_protocol() -> asyncio.BaseProtocol:
        instance = protocol()
        connect = instance.connection_made

        def connection_made(transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transports.append(transport)
            connect(transport)

        instance.connection_made = connection_made  # type: ignore[method-assign]
        return instance

    async def serve() -> None:
        server = await loop.create_server(recording_protocol, ADDRESS, 0, ssl=tls)
        ports[0] = server.sockets[0].getsockname()[1]
        is_ready.set()
        await stop_requested.wait()
        server.close()
        for transport in transports:
            transport.abort()  # before Python 3.12 a closed server keeps its connections
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="postbox")
    thread.start()
    try:
        assert is_ready.wait(20), "the mail server did not start"
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop_requested.set)
        thread.join(20)
    assert not thread.is_alive()


def single_user_authenticator(user: str, password: str) -> Callable[..., AuthResult]:
    """Return an authenticator that accepts one user."""

    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, credentials: object
    ) -> AuthResult:
        is_valid = credentials == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=is_valid, handled=False, auth_data=user)

    return check


def self_signed_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Create a self-signed certificate for this machine. Returns its file and the TLS context of the server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(ADDRESS))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "mail.pem", folder / "mail.key"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return certificate_file, context
