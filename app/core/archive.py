"""The file of a backup: a zip with a database's dump and a manifest, so that common tools still open it in ten years.

What is stored in it is covered by checksums twice: by the zip's own, and by the SHA-256 that the manifest holds.
"""

import errno
import hashlib
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MANIFEST = "manifest.json"
CHUNK_BYTES = 1024 * 1024
MANIFEST_MIB = 256
"""About twice what a million people need: some 120 bytes for each."""
ArchiveFile = Path | IO[bytes]
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What zipfile raises for what isn't a zip; and an OSError with EINVAL, where it is to seek before the file's start."""


class DamagedArchive(Exception):
    """The file isn't a backup, or not all of one. The message is one line."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """What an archive holds beside its manifest: its name in it, its size and its SHA-256."""

    name: str
    bytes: int
    sha256: str


def pack(
    out: IO[bytes], name: str, source: IO[bytes], *, is_compressed: bool, on_bytes: Callable[[int], None]
) -> ArchiveMember:
    """Begin an archive with what the source gives."""
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


def add_manifest(out: IO[bytes], manifest: bytes) -> None:
    """End an archive with its manifest."""
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, manifest)


def read_manifest(file: ArchiveFile) -> bytes:
    """The manifest of an archive. Raises DamagedArchive."""
    limit = MANIFEST_MIB * 1024 * 1024
    with _open_archive(file) as archive, archive.open(MANIFEST) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise DamagedArchive(f"This isn't a backup: its manifest is longer than {MANIFEST_MIB} MiB.")
    return content


def check(file: ArchiveFile, member: ArchiveMember, *, on_bytes: Callable[[int], None]) -> None:
    """Read all that is stored, and hold it against size and hash. Raises DamagedArchive."""
    with _open_archive(file) as archive, archive.open(member.name) as stream:
        digest, size = hashlib.sha256(), 0
        for chunk in _read_chunks(stream):
            digest.update(chunk)
            size += len(chunk)
            on_bytes(len(chunk))
    if (size, digest.hexdigest()) != (member.bytes, member.sha256):
        raise DamagedArchive(f"The backup is damaged: {member.name} isn't what was put into it.")


def unpack(file: ArchiveFile, member: ArchiveMember, out: IO[bytes]) -> None:
    """Write out what is stored. Raises DamagedArchive; what `out` raises is raised."""
    with _open_archive(file) as archive, archive.open(member.name) as stream:
        shutil.copyfileobj(stream, out, CHUNK_BYTES)


@contextmanager
def _open_archive(file: ArchiveFile) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except KeyError as error:
        raise DamagedArchive(f"This isn't a backup: {error.args[0]}") from None
    except (*_READ_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DamagedArchive(f"The backup is damaged, or none: {error}.") from None


def _read_chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
