"""The file format of a backup: a zip file with a database dump, a manifest and its MAC. Any zip tool can open it.

Two checksums cover the dump: the CRC-32 of the zip format, and the SHA-256 in the manifest.
"""

import errno
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MANIFEST, MANIFEST_MAC = "manifest.json", "manifest.mac"
CHUNK_BYTES = 1024 * 1024
MAC_BYTES = 1024
"""The maximum size of a MAC with the id of its key."""
MANIFEST_MIB = 256
"""The maximum size of a manifest. A million users need about half of it, at some 120 bytes each."""
ArchiveFile = Path | IO[bytes]
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)
"""Exceptions of zipfile for a damaged file. It also raises OSError with EINVAL for a seek before the file's start."""


class DamagedArchive(Exception):
    """The file is not a backup, or it is damaged or incomplete. The message is one line."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """The dump in an archive: its file name, its size in bytes and its SHA-256."""

    name: str
    bytes: int
    sha256: str


def pack(
    out: IO[bytes], name: str, source: IO[bytes], *, is_compressed: bool, on_bytes: Callable[[int], None]
) -> ArchiveMember:
    """Create an archive and write the source into it. Call `add_manifest` to complete the archive.

    `on_bytes` receives the size of each chunk, for a progress display.
    """
    method = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
    digest, size = hashlib.sha256(), 0
    with (
        zipfile.ZipFile(out, "w", method, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as stream,
    ):
        for chunk in _read_chunks(source):
            stream.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            on_bytes(len(chunk))
    return ArchiveMember(name, size, digest.hexdigest())


def add_manifest(out: IO[bytes], manifest: bytes, mac: str) -> None:
    """Append the manifest and its MAC to an archive."""
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, manifest)
        archive.writestr(MANIFEST_MAC, mac)


def read_manifest(file: ArchiveFile) -> bytes:
    """Return the manifest of an archive. Raises DamagedArchive."""
    limit = MANIFEST_MIB * 1024 * 1024
    with _open_archive(file) as archive, archive.open(MANIFEST) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise DamagedArchive(f"The file is not a backup: its manifest is larger than {MANIFEST_MIB} MiB.")
    return content


def read_manifest_mac(file: ArchiveFile) -> str | None:
    """Return the MAC of the manifest, or None for an archive without one. Raises DamagedArchive."""
    with _open_archive(file) as archive:
        if MANIFEST_MAC not in archive.namelist():
            return None
        with archive.open(MANIFEST_MAC) as stream:
            return stream.read(MAC_BYTES).decode("ascii", errors="backslashreplace")


def check(file: ArchiveFile, member: ArchiveMember, *, on_bytes: Callable[[int], None]) -> None:
    """Read the whole dump and compare its size and SHA-256 with the manifest. Raises DamagedArchive."""
    _read_member(file, member, lambda chunk: on_bytes(len(chunk)))


def unpack(file: ArchiveFile, member: ArchiveMember, out: IO[bytes]) -> None:
    """Write the dump to `out`, and check it again, because the file may have changed since `check`.

    Raises DamagedArchive at the end of the dump. Errors of `out` are raised unchanged.
    """
    _read_member(file, member, out.write)


def _read_member(file: ArchiveFile, member: ArchiveMember, use: Callable[[bytes], object]) -> None:
    digest, size = hashlib.sha256(), 0
    with _open_archive(file) as archive, archive.open(member.name) as stream:
        for chunk in _read_chunks(stream):
            digest.update(chunk)
            size += len(chunk)
            use(chunk)
    if (size, digest.hexdigest()) != (member.bytes, member.sha256):
        raise DamagedArchive(f"The backup is damaged: {member.name} does not match its checksum.")


@contextmanager
def _open_archive(file: ArchiveFile) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except KeyError as error:
        raise DamagedArchive(f"The file is not a backup: {error.args[0]}") from None
    except (*_READ_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DamagedArchive(f"The file is not a backup, or it is damaged: {error}.") from None


def _read_chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
