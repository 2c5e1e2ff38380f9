"""The first line of a response: version, status, reason."""

from __future__ import annotations

import re
from http import HTTPStatus

__all__ = ["USUAL", "parsed"]

_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?").fullmatch

USUAL: dict[bytes, tuple[bytes, int, bytes]] = {
    f"HTTP/1.1 {status:d} {status.phrase}".encode(): (b"HTTP/1.1", int(status), status.phrase.encode())
    for status in HTTPStatus
}
"""Lines that most answers begin with, to what `parsed` makes of them."""


def parsed(line: bytes) -> tuple[bytes, int, bytes] | None:
    """Version, status and reason of a line without its end (RFC 9112 section 4, versions 1.0 and 1.1), or None.

    The reason may lack, with its blank or without: servers forget it.
    """
    found = _STATUS_LINE(line)
    if found is None:
        return None
    version, status, reason = found.groups()
    return version, int(status), reason or b""
