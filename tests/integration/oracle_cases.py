"""What the oracle is asked: requests, answers, and where the lean wire differs from the families' transports on purpose."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from tests.integration.raw_server import Peer, framed

__all__ = [
    "BODIES",
    "HANGING",
    "HEADERS",
    "METHODS",
    "NOTHING",
    "ON_PURPOSE",
    "REPLIES",
    "TEXT",
    "Purpose",
    "Reply",
]

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
TEXT = b"the wire, the wire, the wire"
ENCODED = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "deflate": zlib.compress(TEXT),
    "br": b'\x1b\x1b\x00\xf8\x1d\t6N\xf4m\\\x0c\x95etw\t\xc2"Whi1T(\x00\xe1\x0b',
    "zstd": b"(\xb5/\xfd \x1c\x85\x00\x00Pthe wire, \x01\x00\xf5\n\x12",
    "gzip, br": b"not what it says",
    "identity": TEXT,
    "unheard-of": TEXT,
}
HEAD_ENDS = b"\r\n\r\n"


class Reply:
    """What the server says to a request: `pieces`, then it goes on, closes, resets, or hangs (`end`)."""

    def __init__(self, *pieces: bytes, end: str = "", pause: float = 0.001) -> None:
        self.pieces = pieces
        self.end = end
        self.pause = pause

    def __call__(self, peer: Peer, request: bytes) -> bool:
        """Whether the connection goes on."""
        pieces, end = self.pieces, self.end
        if request.startswith(b"HEAD ") and HEAD_ENDS in b"".join(pieces):
            # Its whole answer is there, whatever becomes of the body.
            pieces, end = tuple(_heads(b"".join(pieces))), ""
        peer.send(*pieces, pause=self.pause if len(pieces) > 1 else 0.0)
        if end == "hang":
            peer.gone()
        elif end == "reset":
            peer.reset()
        return not end


def _heads(data: bytes) -> Iterator[bytes]:
    """All that a HEAD is answered with: the interim heads and the final one."""
    while True:
        head, _, data = data.partition(HEAD_ENDS)
        yield head + HEAD_ENDS
        if not head.startswith(b"HTTP/1.1 1"):
            return


def bare(*lines: bytes) -> bytes:
    """A head of these lines."""
    return b"\r\n".join([*lines, b"", b""])


CHUNKS = [TEXT[:5], TEXT[5:6], TEXT[6:]]
ODD_CHUNKS = (
    b'5;name=value\r\nhello\r\n6;q="a b"\r\n world\r\n0\r\nX-Sum: 1\r\nServer-Timing: db;dur=3\r\n\r\n'
)
REPLIES: dict[str, Reply] = {
    "counted": Reply(framed(TEXT, b"Content-Type: text/plain; charset=latin-1")),
    "empty": Reply(framed(b"")),
    "chunked": Reply(framed(CHUNKS)),
    "trailers": Reply(
        bare(b"HTTP/1.1 200 OK", b"Trailer: X-Sum", b"Transfer-Encoding: chunked") + ODD_CHUNKS
    ),
    "until close": Reply(bare(b"HTTP/1.1 200 OK", b"Content-Type: text/plain") + TEXT, end="close"),
    "nothing until close": Reply(bare(b"HTTP/1.1 200 OK"), end="close"),
    "in pieces": Reply(b"HTTP/1.1 20", b"0 OK\r\nContent-Le", b"ngth: 5\r\n\r", b"\nhe", b"llo"),
    "chunks in pieces": Reply(*re.findall(rb"(?s).{1,7}", framed(CHUNKS))),
    "100 first": Reply(bare(b"HTTP/1.1 100 Continue"), framed(b"ok")),
    "102 and 103 first": Reply(
        bare(b"HTTP/1.1 102 Processing") + bare(b"HTTP/1.1 103 Early Hints", b"Link: </a>; rel=preload"),
        framed(b"ok"),
    ),
    "204": Reply(bare(b"HTTP/1.1 204 No Content", b"X-Own: 1")),
    "204 with a length": Reply(bare(b"HTTP/1.1 204 No Content", b"Content-Length: 0")),
    "304": Reply(bare(b"HTTP/1.1 304 Not Modified", b'ETag: "a"')),
    "304 with a length": Reply(bare(b"HTTP/1.1 304 Not Modified", b"Content-Length: 17")),
    "404": Reply(framed(b"no", status=b"404 Not Found")),
    "500": Reply(framed(b"oh", status=b"500 Internal Server Error")),
    "299": Reply(framed(b"odd", status=b"299 What Ever")),
    "no reason": Reply(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", framed(b"")[:0]),
    "empty reason": Reply(framed(b"ok", status=b"200 ")),
    "latin-1 reason": Reply(framed(b"ok", status=b"200 Tr\xe8s bien")),
    "redirect not followed": Reply(framed(b"", b"Location: /elsewhere", status=b"302 Found")),
    "close": Reply(framed(TEXT, b"Connection: close"), end="close"),
    "close in chunks": Reply(framed(CHUNKS, b"connection: Close"), end="close"),
    "1.0": Reply(b"HTTP/1.0 200 OK\r\n\r\n" + TEXT, end="close"),
    "1.0 counted": Reply(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", end="close"),
    "cookies": Reply(framed(b"ok", b"Set-Cookie: a=1", b"set-cookie: b=2; Path=/", b"SET-COOKIE: c=3")),
    "odd fields": Reply(
        framed(b"ok", b"x-Empty:", b"X-Blanks: \t a  b \t", b"X-L\x61: \xe4\xff", b"!#$%&'*+-.^_`|~: 1")
    ),
    "many fields": Reply(framed(b"ok", *(b"X-%d: %d" % (number, number) for number in range(99)))),
    "large": Reply(framed(TEXT * 20_000)),
    "large in chunks": Reply(framed([TEXT * 500] * 40)),
    **{
        f"{name} counted": Reply(framed(data, b"Content-Encoding: " + name.encode()))
        for name, data in ENCODED.items()
    },
    **{
        f"{name} in chunks": Reply(framed([data[:9], data[9:]], b"Content-Encoding: " + name.encode()))
        for name, data in ENCODED.items()
    },
    "broken gzip": Reply(framed(b"\x1f\x8b nothing", b"Content-Encoding: gzip")),
    # Failures.
    "no answer": Reply(end="close"),
    "reset": Reply(end="reset"),
    "cut head": Reply(b"HTTP/1.1 200 OK\r\nContent-Le", end="close"),
    "cut body": Reply(framed(TEXT)[:-3], end="close"),
    "cut chunk": Reply(framed(CHUNKS)[:-12], end="close"),
    "no last chunk": Reply(framed(CHUNKS)[:-5], end="close"),
    "cut trailers": Reply(framed(CHUNKS)[:-2], end="close"),
    "100 and no more": Reply(bare(b"HTTP/1.1 100 Continue"), end="close"),
    "reset in the head": Reply(b"HTTP/1.1 200 OK\r\nContent-Le", end="reset"),
    "garbage": Reply(b"\x16\x03\x01 SSH-2.0 \x00\xff\r\n\r\n", end="close"),
    "wrong version": Reply(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", end="close"),
    "wrong status": Reply(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", end="close"),
    "wrong length": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nok", end="close"),
    "negative length": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", end="close"),
    "two lengths": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", end="close"),
    "wrong coding": Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", end="close"),
    "wrong chunk": Reply(
        bare(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"zz\r\n\r\n", end="close"
    ),
    "wrong field": Reply(b"HTTP/1.1 200 OK\r\nX y: 1\r\nContent-Length: 0\r\n\r\n", end="close"),
    "NUL in a field": Reply(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n", end="close"),
    # Where we differ.
    "same length twice": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    "length and chunks": Reply(framed(CHUNKS, b"Content-Length: 3")),
    "bare line feeds": Reply(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", end="close"),
    "folded field": Reply(framed(b"ok", b"X-Folded: a", b" b")),
    "switched": Reply(
        bare(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: echo", b"Connection: upgrade"), end="close"
    ),
    "1.0 kept alive": Reply(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"),
    "1.0 in chunks": Reply(framed(CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0"), end="close"),
    "more than was asked for": Reply(framed(b"ok") + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
}
HANGING = {
    "hang": Reply(end="hang"),
    "hang in the body": Reply(framed(TEXT)[:-3], end="hang"),
    "steady": Reply(*re.findall(rb"(?s).{1,12}", framed(TEXT)), pause=0.05),
}


class Purpose(NamedTuple):
    """Where the two differ in, and why that is right. `error` is what ours raises where theirs does not."""

    fields: str
    why: str
    error: str | None = None
    always: bool = True
    """False: only where the bytes happen to come together."""


REFUSED = "head content error"
CLEAN = Purpose("kept", "nothing was sent: the connection is as good as before")
DECODED = Purpose("kept", "the message had come whole: only its content is wrong")
AMBIGUOUS = Purpose(
    "request " + REFUSED, "two framings: what reads the other one sees a second request", "LocalProtocolError"
)
UNSURE = Purpose(REFUSED + " kept", "readers differ about where it ends", "RemoteProtocolError")
ON_PURPOSE: dict[str, Purpose] = {
    "body: chunked bytes": AMBIGUOUS._replace(always=False),  # httpx2 writes one framing only
    "body: bytes that are too few": CLEAN,
    "header: blank before": CLEAN,
    "header: blank behind": CLEAN,
    "header: line end": CLEAN,
    "header: NUL": CLEAN,
    "header: bad name": CLEAN,
    "header: empty name": CLEAN,
    "header: two hosts": CLEAN,
    "header: two lengths": AMBIGUOUS._replace(fields=AMBIGUOUS.fields + " kept"),
    "header: length and chunks": AMBIGUOUS,
    "header: Chunked": AMBIGUOUS._replace(why=AMBIGUOUS.why + "; alone it goes as it was written"),
    "header: gzip coding": CLEAN,
    "method: no token": CLEAN,
    "reply: gzip, br counted": DECODED,
    "reply: gzip, br in chunks": DECODED,
    "reply: broken gzip": DECODED,
    "reply: wrong chunk": Purpose(
        "head", "a wrong body that came with its head is an error before the head is handed out", always=False
    ),
    "reply: wrong version": Purpose(
        REFUSED + " kept", "not HTTP/1: its framing is unknown", "RemoteProtocolError"
    ),
    "reply: same length twice": UNSURE,
    "reply: length and chunks": UNSURE,
    "reply: bare line feeds": UNSURE._replace(fields=REFUSED),
    "reply: folded field": UNSURE,
    "reply: 1.0 kept alive": Purpose("kept", "RFC 9112 9.3: a 1.0 server may say that it stays"),
    "reply: 1.0 in chunks": UNSURE._replace(fields=REFUSED),
    "reply: more than was asked for": Purpose(
        "request head content error kept",
        "theirs takes it for the answer to the next request, or stumbles over it",
    ),
}


def pieces(kind: str, *parts: bytes) -> Any:
    """A body made while it is sent."""

    def plain() -> Iterator[bytes]:
        yield from parts

    async def asynchronous() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return asynchronous() if kind == "async" else plain()


NOTHING: Callable[[str], Any] = lambda kind: {}  # noqa: E731
FIXED = {"Content-Type": "multipart/form-data; boundary=fixed"}
BODIES: dict[str, Callable[[str], Any]] = {
    "none": lambda kind: {},
    "bytes": lambda kind: {"content": b"\x00\xffraw"},
    "text": lambda kind: {"content": "häß"},
    "empty": lambda kind: {"content": b""},
    "json": lambda kind: {"json": {"a": [1, None, "ü"]}},
    "form": lambda kind: {"data": {"a": "1 2", "b": ["3", "4"]}},
    "multipart": lambda kind: {
        "data": {"a": "1"},
        "files": {"f": ("f.txt", io.BytesIO(b"content"), "text/plain")},
        "headers": FIXED,
    },
    "file": lambda kind: {"content": io.BytesIO(b"file" * 1000)},
    "iterator": lambda kind: {"content": pieces(kind, b"one", b"", b"two")},
    "empty iterator": lambda kind: {"content": pieces(kind)},
    "large": lambda kind: {"content": b"x" * 200_000},
    "large iterator": lambda kind: {"content": pieces(kind, *[b"y" * 70_000] * 3)},
    # Framing that the caller chose.
    "counted iterator": lambda kind: {
        "content": pieces(kind, b"one", b"two"),
        "headers": {"content-LENGTH": "6"},
    },
    "chunked bytes": lambda kind: {"content": b"whole", "headers": {"Transfer-Encoding": "chunked"}},
    "chunked nothing": lambda kind: {"content": b"", "headers": {"Transfer-Encoding": "chunked"}},
    "too much": lambda kind: {"content": pieces(kind, b"one", b"two"), "headers": {"Content-Length": "5"}},
    "too little": lambda kind: {"content": pieces(kind, b"one"), "headers": {"Content-Length": "5"}},
    "bytes that are too few": lambda kind: {"content": b"one", "headers": {"Content-Length": "5"}},
}


HEADERS: dict[str, Any] = {
    "none": {},
    "own host": {"X-First": "1", "hOst": "elsewhere.example:81"},
    "cases": {"X-UPPER": "A", "x-lower": "a", "X-mIxed": "b"},
    "twice": [("X-Twice", "1"), ("x-twice", "2")],
    "empty value": {"X-Empty": ""},
    "latin-1": {"X-Latin": "ä"},
    "utf-8": {"X-Utf": "日本"},
    "bytes": [(b"X-Bytes", b"\xff\xfe")],
    "tab": {"X-Tab": "a\tb"},
    "close": {"Connection": "close"},
    "expect": {"Expect": "100-continue"},
    "blank before": {"X-Blank": " a"},
    "blank behind": {"X-Blank": "a "},
    "line end": {"X-Line": "a\r\nX-Smuggled: 1"},
    "NUL": {"X-Nul": "a\x00b"},
    "bad name": {"X Bad": "1"},
    "empty name": {"": "1"},
    "two hosts": [("Host", "a"), ("Host", "b")],
    "two lengths": [("Content-Length", "2"), ("Content-Length", "2")],
    "length and chunks": [("Content-Length", "2"), ("Transfer-Encoding", "chunked")],
    "Chunked": {"Transfer-Encoding": "Chunked"},
    "gzip coding": {"Transfer-Encoding": "gzip"},
}
