"""The head of a request as bytes, and the framing of its body. What must not be written raises RefusedRequest.

Only what RFC 9110 and 9112 let a sender generate leaves: no line end, NUL or other control character in any part, no blanks
around a value, one Host, one length. So nothing in a URL or a header value can become a second request.
"""

from __future__ import annotations

__all__ = [
    "CHUNKED",
    "LAST_CHUNK",
    "NO_BODY",
    "BodyWriter",
    "RefusedRequest",
    "body_framing",
    "chunk",
    "header_block",
    "request_head",
    "request_line",
]

Fields = list[tuple[bytes, bytes]]

CHUNKED = -1
NO_BODY = 0
LAST_CHUNK = b"0\r\n\r\n"

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""RFC 9110 5.6.2."""
_TARGET = bytes(range(0x21, 0x7F))
_VALUE = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
"""RFC 9110 5.5, obs-text included: header values in UTF-8 or Latin-1 are in use."""
_COLON = b": ".join
_KNOWN = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))
_LINES_KEPT, _LINE_KEPT = 256, 256
_lines: dict[tuple[str, bytes], bytes] = {}
"""Lines that were found right, since most services are asked for few targets again and again."""
_LENGTH_DIGITS = 19  # what fits in 63 bits, which is as far as peers count


class RefusedRequest(ValueError):
    """The request must not be written: it would not be HTTP, or would be two requests to some reader."""


def request_head(method: str, target: bytes, headers: Fields) -> bytes:
    """The whole head, its blank line included. One Host is demanded, as by RFC 9112 section 3.2."""
    hosts = 0
    for name, _ in headers:
        if len(name) == 4 and name.lower() == b"host":
            hosts += 1
    if hosts != 1:
        raise RefusedRequest("a request needs one Host header" if hosts else "a request needs a Host header")
    return request_line(method, target) + header_block(headers) + b"\r\n"


def request_line(method: str, target: bytes) -> bytes:
    """The first line, its line end included."""
    known = _lines.get((method, target))
    if known is not None:
        return known
    if method not in _KNOWN and (
        not method or not method.isascii() or method.encode("ascii").translate(None, _TOKEN)
    ):
        raise RefusedRequest(f"not a method: {method!r}")
    if not target or target.translate(None, _TARGET):
        raise RefusedRequest(f"not a request target: {target!r}")
    line = b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), target)
    if len(target) <= _LINE_KEPT:
        if len(_lines) >= _LINES_KEPT:
            _lines.clear()
        _lines[method, target] = line
    return line


def header_block(headers: Fields) -> bytes:
    """The lines of these fields, each with its line end; for callers that keep them."""
    if not headers:
        return b""
    for name, value in headers:
        if not name or value.strip() != value:
            raise RefusedRequest(f"a header without a name, or with blanks around its value: {name!r}")
    # All names at once, and all values: a call for each would cost more than the rest.
    if b"".join([name for name, _ in headers]).translate(None, _TOKEN):
        raise RefusedRequest(f"not a header name: {_first(headers, 0, _TOKEN)!r}")
    if b"".join([value for _, value in headers]).translate(None, _VALUE):
        # The value may be a secret.
        raise RefusedRequest(
            f"a character in the value of {_first(headers, 1, _VALUE)!r} that must not be there"
        )
    return b"\r\n".join([_COLON(field) for field in headers]) + b"\r\n"


def _first(headers: Fields, part: int, allowed: bytes) -> bytes:
    """The name of the first field that has something else in its name (0) or value (1)."""
    return next(field[0] for field in headers if field[part].translate(None, allowed))


def body_framing(headers: Fields) -> int:
    """CHUNKED, or the Content-Length, NO_BODY without one. Raises RefusedRequest where two readers could disagree."""
    length = -1
    chunked = False
    for name, value in headers:
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            if length >= 0:
                raise RefusedRequest("more than one Content-Length")
            if not value.isdigit() or len(value) > _LENGTH_DIGITS:
                raise RefusedRequest(f"not a Content-Length: {value!r}")
            length = int(value)
        elif size == 17 and name.lower() == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise RefusedRequest("a Transfer-Encoding other than chunked, or more than one")
            chunked = True
    if chunked:
        if length >= 0:
            raise RefusedRequest("both Transfer-Encoding and Content-Length")
        return CHUNKED
    return length if length > 0 else NO_BODY


def chunk(data: bytes) -> bytes:
    """`data` as a chunk; nothing for nothing, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class BodyWriter:
    """What to write for the pieces of one body, in the framing of `body_framing`; raises RefusedRequest if they don't fit it."""

    __slots__ = ("_left",)

    def __init__(self, framing: int) -> None:
        self._left = framing

    def write(self, data: bytes) -> bytes:
        """What to write for this piece."""
        left = self._left
        if left == CHUNKED:
            return chunk(data)
        if len(data) > left:
            raise RefusedRequest("the body is longer than its Content-Length")
        self._left = left - len(data)
        return data

    def end(self) -> bytes:
        """What to write after the last piece."""
        left = self._left
        if left == CHUNKED:
            return LAST_CHUNK
        if left:
            raise RefusedRequest(f"the body is {left} bytes shorter than its Content-Length")
        return b""
