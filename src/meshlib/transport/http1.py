"""Http1: what one client connection reads, without I/O. llhttp (httptools) knows the grammar; framing is decided here.

llhttp is handed one head at a time, cut off at its blank line, and the inside of a chunked body; nothing else. So whatever it
does not know (HEAD, end of file, bounds, what may follow an answer) cannot mislead it, and where a message ends is decided by
the few lines below alone. Rules: RFC 9112; where it lets a recipient choose, the strict choice (docs/design/009-lean-http1.md).
"""

from __future__ import annotations

import re
from typing import NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from meshlib.transport.llhttp import Fields, Told
from meshlib.transport.status_line import USUAL, parsed

__all__ = ["MOST_FIELDS", "MOST_HEAD", "BrokenResponse", "Http1"]

MOST_HEAD = 64 * 1024
"""Bytes of all the heads of one answer, interim ones included; of a trailer section; of chunk framing between two bytes of a
body, give or take one read. Envoy takes 60 KiB, http.client 64 KiB a line, httpcore 100 KiB."""
MOST_FIELDS = 256
"""Fields of a head or of a trailer section. Envoy and http.client stop at 100, which an API gateway's cookies can exceed."""

_IDLE, _HEAD, _LENGTH, _CHUNKED, _UNTIL_CLOSE = range(5)
_UNASKED = "sent bytes that nobody asked for"
_END = b"\r\n\r\n"
_PREFIX = b"HTTP/1."
_FRAMING = (b"content-length", b"transfer-encoding")
_SIZES = frozenset(map(len, (*_FRAMING, b"connection", b"keep-alive", b"set-cookie", b"content-encoding")))
_DIGITS = 19  # of a length: as far as 63 bits, and far below what int() refuses
_NOBODY = object()
_NOWHERE: list[bytes] = []
_LONG_HEAD = f"sent a head of more than {MOST_HEAD} bytes"
_SWITCHED = "switched protocols unasked"
_NOT_HTTP = "does not speak HTTP/1"

_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,9})(?![0-9])", re.IGNORECASE).search


class BrokenResponse(Exception):
    """The peer broke HTTP, or closed too early. The text is the rest of a sentence that begins with the peer.

    `started` says whether any byte of the answer had come.
    """

    def __init__(self, text: str, started: bool = True) -> None:
        super().__init__(text, started)
        self.started: bool = started

    def __str__(self) -> str:
        return str(self.args[0])


class Http1:
    """One client connection, one exchange at a time: `begin`, then `feed` what is read, until `complete`. Not thread-safe.

    Whoever takes `parts` puts an empty list there, and 0 into `buffered`. When `feed` or `eof` has raised, the connection is
    of no more use; what had come of the answer stays readable. A `reusable` connection may carry another exchange, once the
    request has been written to its end (that is the writer's to know).
    """

    __slots__ = (
        "_close", "_held", "_left", "_method", "_parser", "_phase", "_silent", "_spent", "_stays", "_tail",
        "_told", "_why", "buffered", "complete", "continued", "encoded", "head", "headers", "interim",
        "keep_alive", "parts", "reason", "reusable", "sets_cookies", "started", "status", "trailers", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status: int = 0
        self.reason: bytes = b""
        self.version: bytes = b"HTTP/1.1"
        self.headers: Fields = []
        """Of the final response, raw and in order; values without the blanks around them."""
        self.head: bool = False
        """Whether the final response's head is complete."""
        self.parts: list[bytes] = []
        """What has come of the body and nobody took yet."""
        self.buffered: int = 0
        """Bytes in `parts`."""
        self.complete: bool = False
        """Whether the whole message is here."""
        self.reusable: bool = True
        """False during an exchange."""
        self.keep_alive: float | None = None
        """Seconds of idleness after which the peer says that it closes (`Keep-Alive: timeout=`)."""
        self.trailers: Fields = []
        self.interim: list[tuple[int, Fields]] = []
        """Status and fields of the 1xx responses."""
        self.continued: bool = False
        """Whether a 100 (Continue) was among them."""
        self.encoded: bool = False
        self.sets_cookies: bool = False
        """Whether a Content-Encoding or a Set-Cookie is among the headers."""
        self.started: bool = False
        """Whether any byte of an answer has come."""
        self._told = Told()
        # Looks at a head without an end, or reads a chunked body.
        self._parser: HttpResponseParser | None = None
        self._phase = _IDLE
        self._method = ""
        self._close = False
        self._left = 0  # bytes that a body of known length still lacks
        self._held = bytearray()  # a head that is not whole yet
        self._spent = 0  # bytes of the interim heads
        self._stays = False  # whether the peer keeps the connection open after this message
        self._silent = 0  # bytes of chunk framing since the last byte of the body
        self._tail = b""  # the last five bytes of what was chunked
        self._why = _UNASKED

    def begin(self, method: str, close: bool = False) -> None:
        """A request of this method is about to be written; `close`: it says `Connection: close`.

        Raises RuntimeError when the connection may not carry it.
        """
        if not self.reusable:
            raise RuntimeError("an exchange on a connection that may not carry one")
        self.reusable = self.head = self.complete = self.continued = self.started = False
        self.encoded = self.sets_cookies = False
        self.status = 0
        self.headers = []
        self.parts = []
        self.trailers = []
        self.interim = []
        self.buffered = self._spent = 0
        self.keep_alive = None
        self._method = method
        self._close = close
        self._phase = _HEAD

    def feed(self, data: bytes) -> None:
        """What was read. Raises BrokenResponse, also for bytes that come while no exchange is under way."""
        if not data:
            return
        phase = self._phase
        if phase == _HEAD:
            self._feed_head(data)
        elif phase == _LENGTH:
            self._feed_length(data)
        elif phase == _CHUNKED:
            self._feed_chunked(data)
        elif phase == _UNTIL_CLOSE:
            self.parts.append(data)
            self.buffered += len(data)
        else:
            self._fail(self._why)

    def eof(self) -> None:
        """The peer sends no more. Completes a body that lasts until then; raises BrokenResponse when an answer is missing."""
        phase = self._phase
        self.reusable = False
        if phase == _HEAD:
            if self._held:
                self._fail("closed the connection in the middle of a head")
            elif self.interim:
                self._fail("closed the connection after an interim answer")
            self._fail("closed the connection without an answer")
        elif phase == _LENGTH:
            whole = next(int(value) for name, value in self.headers if name.lower() == b"content-length")
            self._fail(f"closed the connection after {whole - self._left} of {whole} bytes of the body")
        elif phase == _CHUNKED:
            self._fail("closed the connection before the last chunk of the body")
        elif phase == _UNTIL_CLOSE:
            self._phase = _IDLE
            self.complete = True

    # --- heads ---------------------------------------------------------------------------------------------------------

    def _feed_head(self, data: bytes) -> None:
        self.started = True
        if self._held:
            data = self._joined(data)
        while True:
            end = data.find(_END) + 4
            if end == 3:
                if data:
                    self._hold(data)
                return
            if end == len(data):
                head, rest = data, b""
            else:
                head, rest = data[:end], data[end:]
            if self._spent + end > MOST_HEAD:
                self._fail(_LONG_HEAD)
            if self._take_head(head):
                break
            self._spent += end
            data = rest
        if self._phase == _LENGTH:
            if rest or not self._left:
                self._feed_length(rest)
        elif rest:
            self.feed(rest)

    def _joined(self, data: bytes) -> bytes:
        """The head that was being held, to its end, with all that follows; nothing while it has no end."""
        held = self._held
        if (held[-3:] + data).find(_END) < 0:
            self._hold(data)
            return b""
        joined = bytes(held + data)
        held.clear()
        self._parser = None
        return joined

    def _hold(self, data: bytes) -> None:
        """A head without an end: wait, unless it is too long or wrong already. The parser that looks is not the one that
        reads the head in the end, so that heads in pieces and in one piece are read alike."""
        held = self._held
        held += data
        if self._spent + len(held) >= MOST_HEAD:
            self._fail(_LONG_HEAD)
        if not held.startswith(_PREFIX[: len(held)]):
            self._fail(_NOT_HTTP)
        if self._parser is None:
            self._parser = HttpResponseParser(_NOBODY)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(f"broke HTTP: {error}")

    def _take_head(self, head: bytes) -> bool:
        """Read one head. Whether it is the final response's."""
        line = head[: head.find(b"\r")]
        known = USUAL.get(line) or parsed(line)
        if known is None:
            self._fail(_NOT_HTTP if line[:7] != _PREFIX else "sent a status line that is not HTTP/1.1's")
        version, status, reason = known
        told = self._told
        told.ended = False
        parser = HttpResponseParser(told)
        try:
            parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(_SWITCHED if status == 101 else f"broke HTTP: {error}")
        fields = told.fields
        told.fields = []
        if not told.ended or len(fields) > MOST_FIELDS:
            self._fail(f"sent more than {MOST_FIELDS} fields" if told.ended else "broke HTTP")
        if status < 200:
            if status == 101:
                self._fail(_SWITCHED)  # we never ask for an upgrade
            self.interim.append((status, fields))
            if status == 100:
                self.continued = True
            return False
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = fields
        self._frame(parser)
        self.head = True
        return True

    def _frame(self, parser: HttpResponseParser) -> None:
        """What the fields say of the body and of the connection's future (RFC 9112 sections 6.3 and 9.3).

        llhttp refuses most of what is refused here; where a message ends must not hang on its version.
        """
        length = -1
        chunked = closes = stays = False
        for name, value in self.headers:
            if len(name) not in _SIZES:
                continue
            name = name.lower()
            if name == b"content-length":
                if length >= 0 or not value.isdigit() or len(value) > _DIGITS:
                    self._fail("sent more than one Content-Length, or an odd one")
                length = int(value)
            elif name == b"transfer-encoding":
                if chunked or value.lower() != b"chunked" or self.version == b"HTTP/1.0":
                    self._fail(f"sent a Transfer-Encoding that nobody asked for: {value!r}")
                chunked = True
            elif name == b"connection":
                if value == b"keep-alive":
                    stays = True
                else:
                    options = [option.strip() for option in value.lower().split(b",")]
                    closes = closes or b"close" in options
                    stays = stays or b"keep-alive" in options
            elif name == b"set-cookie":
                self.sets_cookies = True
            elif name == b"content-encoding":
                self.encoded = True
            elif name == b"keep-alive":
                told = _TIMEOUT(value)
                self.keep_alive = None if told is None else float(told[1])
        if chunked and length >= 0:
            self._fail("sent both Transfer-Encoding and Content-Length")
        self._stays = not (closes or self._close) and (stays or self.version == b"HTTP/1.1")
        self._open(parser if chunked else None, length)

    def _open(self, parser: HttpResponseParser | None, length: int) -> None:
        """The body begins. `parser`: it is chunked; `length`: -1 when none is told."""
        method, status = self._method, self.status
        self._phase = _LENGTH
        if status == 204 or status == 304 or method == "HEAD":
            self._left = 0
        elif method == "CONNECT" and status < 300:
            self._left = 0
            self._stays = False
        elif parser is not None:
            self._phase = _CHUNKED
            self._parser = parser
            told = self._told
            told.ended = False
            told.begun = told.size = self._silent = 0
            self._tail = b""
        elif length >= 0:
            self._left = length
        else:
            self._phase = _UNTIL_CLOSE

    # --- bodies --------------------------------------------------------------------------------------------------------

    def _feed_length(self, data: bytes) -> None:
        left = self._left
        size = len(data)
        if size < left:
            self._left = left - size
        else:
            self._phase = _IDLE
            self.complete = True
            self.reusable = self._stays and size == left
            if not left:
                return
            if size > left:
                data = data[:left]
                size = left
        self.parts.append(data)
        self.buffered += size

    def _feed_chunked(self, data: bytes) -> None:
        told = self._told
        before = told.size
        told.parts = self.parts
        broken = ""
        parser = self._parser
        assert parser is not None
        try:
            parser.feed_data(data)
        except HttpParserError as error:
            broken = f"broke HTTP: {error}"
        told.parts = _NOWHERE
        self._tail = data[-5:] if len(data) >= 5 else (self._tail + data)[-5:]
        size = told.size - before
        self.buffered += size
        if told.ended:
            self._end_chunked(bool(broken))
        elif broken:
            self._fail(broken)
        else:
            self._silent = 0 if size else self._silent + len(data)
            if self._silent > MOST_HEAD:
                self._fail("sent chunk framing without end")

    def _end_chunked(self, more: bool) -> None:
        """`more`: what followed the end was seen to be wrong."""
        told = self._told
        trailers, told.trailers, told.fields = told.trailers, [], []
        if trailers:
            self._check_trailers(trailers)
        self._parser = None
        # llhttp skips line ends before the next message and says nothing; any other byte begins one.
        last = self._tail
        more = more or told.begun > 0 or last[1:] != _END or last[0] in b"\r\n"
        self.trailers = trailers
        self._phase = _IDLE
        self.complete = True
        self.reusable = self._stays and not more

    def _check_trailers(self, trailers: Fields) -> None:
        if len(trailers) > MOST_FIELDS or sum(len(name) + len(value) for name, value in trailers) > MOST_HEAD:
            self._fail("sent too long a trailer section")
        for name, _ in trailers:
            if name.lower() in _FRAMING:  # RFC 9110 section 6.5.1
                self._fail(f"sent {name.decode()} behind the body")

    def _fail(self, text: str) -> NoReturn:
        self._phase = _IDLE
        self.reusable = False
        self._parser = None
        self._why = text
        raise BrokenResponse(text, self.started)
