"""Names of downloaded files."""

import re
import unicodedata
from urllib.parse import quote

_UNSAFE = re.compile(r'[\x00-\x20\x7f-\xa0"*/:<>?\\|]+')
"""Characters that a file system or a header does not accept, and blanks."""
_NOT_ASCII_NAME = re.compile(r"[^A-Za-z0-9._-]+")
MAX_NAME_LENGTH = 100


def file_name_part(text: str) -> str:
    """Return text of a user as a part of a file name, such as `Änne_Müller`."""
    return _UNSAFE.sub("_", text)[:MAX_NAME_LENGTH].strip("._")


def attachment(file_name: str) -> str:
    """Return the Content-Disposition header of a file. Browsers save it under that name (RFC 6266).

    A header is ASCII. A name with other characters is sent percent-encoded (RFC 8187), behind one without accents for
    clients that do not read it.
    """
    ascii_name = unicodedata.normalize("NFKD", file_name).encode("ascii", "ignore").decode()
    ascii_name = re.sub(r"_+(?=[_.])", "", _NOT_ASCII_NAME.sub("_", ascii_name))
    header = f'attachment; filename="{ascii_name}"'
    return header if ascii_name == file_name else f"{header}; filename*=UTF-8''{quote(file_name, safe='')}"
