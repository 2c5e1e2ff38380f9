"""ReceivedRequest: what a client sent, read from bytes by the rules of RFC 9112 that matter to a server."""

from __future__ import annotations

import re

import msgspec

__all__ = ["BadRequestError", "ReceivedRequest", "RequestReader"]

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,12}")


class BadRequestError(ValueError):
    """The bytes are not an HTTP/1.1 request that may be answered."""


class ReceivedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came: names and values of headers untouched and in order, the body decoded.

    `connection` numbers the connections of a server from 1, so that reuse can be seen.
    """

    method: str
    target: str
    version: str = "HTTP/1.1"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    connection: int = 0

    def header(self, name: str, default: str = "") -> str:
        """All values of a header, joined by commas."""
        wanted = name.lower()
        return ", ".join(value for known, value in self.headers if known.lower() == wanted) or default

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def keep_alive(self) -> bool:
        """Whether the client expects the connection to go on (RFC 9112 9.3)."""
        options = {option.strip() for option in self.header("connection").lower().split(",")}
        return "keep-alive" in options if self.version == "HTTP/1.0" else "close" not in options


class RequestReader:
    """Bytes in (`feed`), requests out (`take`), no I/O. One per connection; not thread-safe.

    `wants_continue` is true while a request with `Expect: 100-continue` waits for leave to send its body; the server
    says it once and calls `continued`.
    """

    __slots__ = ("_body", "_buffer", "_connection", "_head", "_left", "wants_continue")

    def __init__(self, connection: int = 0) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._head: ReceivedRequest | None = None
        self._body = bytearray()
        self._left: int | None = 0
        """Bytes of the body still to come; None while it is chunked."""
        self.wants_continue: bool = False

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._buffer += data

    def continued(self) -> None:
        """The interim response was sent."""
        self.wants_continue = False

    def take(self) -> ReceivedRequest | None:
        """The next whole request, or None until more bytes come. Raises BadRequestError; then nothing more is read."""
        if self._head is None and not self._start():
            return None
        if not (self._chunks() if self._left is None else self._counted(self._left)):
            return None
        assert self._head is not None
        request = msgspec.structs.replace(self._head, body=bytes(self._body))
        self._head = None
        self._body.clear()
        self.wants_continue = False
        return request

    def _start(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD:
            raise BadRequestError(f"the head is larger than {MAX_HEAD} bytes")
        if end < 0:
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._head = head = _head(lines, self._connection)
        self._left = _length(head)
        expected = head.header("expect").lower() == "100-continue"
        self.wants_continue = expected and head.version != "HTTP/1.0" and self._left != 0
        return True

    def _counted(self, left: int) -> bool:
        taken = self._buffer[:left]
        del self._buffer[: len(taken)]
        self._body += taken
        self._left = left - len(taken)
        return self._left == 0

    def _chunks(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return self._too_long(len(self._buffer))
            size_text = bytes(self._buffer[:end]).partition(b";")[0].strip()
            if not _HEX.fullmatch(size_text):
                raise BadRequestError(f"a chunk's size is not hexadecimal: {size_text[:32]!r}")
            size = int(size_text, 16)
            if size == 0:
                return self._trailers(end)
            self._room(size)
            if len(self._buffer) < end + 2 + size + 2:
                return False
            self._body += self._buffer[end + 2 : end + 2 + size]
            if self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise BadRequestError("a chunk is longer than its size says")
            del self._buffer[: end + 4 + size]

    def _trailers(self, start: int) -> bool:
        # From the CRLF of the last chunk's size line on, the body ends with the first empty line.
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0:
            return self._too_long(len(self._buffer) - start)
        del self._buffer[: end + 4]
        return True

    def _too_long(self, length: int) -> bool:
        if length > MAX_HEAD:
            raise BadRequestError(f"a line of the chunked body is longer than {MAX_HEAD} bytes")
        return False

    def _room(self, more: int) -> None:
        if len(self._body) + more > MAX_BODY:
            raise BadRequestError(f"the body is larger than {MAX_BODY} bytes")


def _head(lines: list[str], connection: int) -> ReceivedRequest:
    parts = lines[0].split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not parts[1]:
        raise BadRequestError(f"not a request line: {lines[0][:80]!r}")
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError(f"not HTTP/1.1: {version[:20]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise BadRequestError(f"not a header: {line[:80]!r}")
        headers.append((name, value.strip(" \t")))
    return ReceivedRequest(
        method=method, target=target, version=version, headers=tuple(headers), connection=connection
    )


def _length(head: ReceivedRequest) -> int | None:
    coding = head.header("transfer-encoding").lower()
    length = head.header("content-length")
    if coding and length:
        # RFC 9112 6.1: both together are how requests are smuggled.
        raise BadRequestError("Content-Length and Transfer-Encoding together")
    if coding:
        if coding != "chunked":
            raise BadRequestError(f"unknown transfer coding {coding[:40]!r}")
        return None
    if not length:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > 15 or int(length) > MAX_BODY:
        raise BadRequestError(f"unusable Content-Length {length[:40]!r}")
    return int(length)
