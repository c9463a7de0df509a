"""A real nginx with the shipped configuration, free ports and a generated certificate."""

import os
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.core.time.clock import utc_now
from tests.support.server_process import free_port
from tests.support.system_packages import find_program

SHIPPED_CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "employee-time-tracking.conf"
START_SECONDS = 20
HOST = "localhost"
_USER_OPTIONS: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
_MAIN_CONFIG = """
daemon off;
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log {folder}/access;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/shipped.conf;
}}
"""


class Nginx:
    """An nginx that runs until the block of `run_nginx` ends. `ssl_context` verifies its certificate."""

    def __init__(self, folder: Path, upstream: str, changes: dict[str, str]) -> None:
        self.tls_port, self.plain_port = free_port(), free_port()
        self.base_url = f"https://{HOST}:{self.tls_port}"
        self._folder = folder
        _make_certificate(folder)
        self.ssl_context = ssl.create_default_context(cafile=folder / "certificate")
        (folder / "shipped.conf").write_text(self._adapt_config(upstream, changes))
        (folder / "nginx.conf").write_text(_MAIN_CONFIG.format(folder=folder))
        self.command = [str(find_program("nginx")), "-e", f"{folder}/errors", "-c", f"{folder}/nginx.conf"]

    def check(self) -> str:
        """Return the output of `nginx -t`."""
        result = subprocess.run([*self.command, "-t"], capture_output=True, text=True, check=False, **_USER_OPTIONS)
        return result.stderr

    def start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(self.command, **_USER_OPTIONS)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection((HOST, self.tls_port)):
                return process
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start:\n{(self._folder / 'errors').read_text()}")
            time.sleep(0.01)

    def _adapt_config(self, upstream: str, changes: dict[str, str]) -> str:
        replacements = {
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen [::]:80;": "",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.tls_port} ssl http2;",
            "listen [::]:443 ssl http2;": "",
            "server 127.0.0.1:8000;": f"server {upstream};",
            "server_name time.example.com;": f"server_name {HOST};",
            "/etc/nginx/tls/time.example.com.crt": f"{self._folder}/certificate",
            "/etc/nginx/tls/time.example.com.key": f"{self._folder}/key",
        }
        text = SHIPPED_CONFIG.read_text()
        for shipped, changed in (replacements | changes).items():
            assert shipped in text, shipped
            text = text.replace(shipped, changed)
        return text


@contextmanager
def run_nginx(upstream: str, **changes: str) -> Iterator[Nginx]:
    """Run nginx with the shipped configuration in front of `upstream`. `changes` maps texts to their replacements."""
    with tempfile.TemporaryDirectory(prefix="ett-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # for nginx's unprivileged user
        nginx = Nginx(folder, upstream, changes)
        process = nginx.start()
        try:
            yield nginx
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(utc_now() - timedelta(days=1)).not_valid_after(utc_now() + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "key").chmod(0o644)
