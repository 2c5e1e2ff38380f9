"""Our reader of answers beside h11's: any bytes, in any pieces.

    python tests/fuzz/http1.py -max_total_time=600

runs it under atheris (`pip install atheris h11`), starting from the corpus beside this file. The property tests in
tests/properties/test_http1_h11.py use the same functions. An input is the method's first letter (G, H or P), a character
that says how large the pieces are, and the stream.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType
from typing import NamedTuple

import h11

from meshlib.transport import http1
from meshlib.transport.http1 import MOST_HEAD, BrokenResponse, Http1

Fields = list[tuple[bytes, bytes]]

CORPUS = Path(__file__).parent / "corpus" / "http1"
METHODS = {b"G": "GET", b"H": "HEAD", b"P": "POST"}
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

ONLY_H11 = {
    # What our sentence says: why it is right to refuse what h11 reads.
    r"Missing expected CR|header field char|response status|not HTTP/1.1's$": "LF alone as a line end: readers differ",
    r"whitespace after header value": "folded lines: deprecated since 2014, and read in three ways (RFC 9112 5.2)",
    r"header value char|not HTTP/1.1's$": "control characters in a value or reason: no part of either (RFC 9110 5.5)",
    r"does not speak HTTP/1|Invalid HTTP version|not HTTP/1.1's$": "versions that we don't know: their framing may be another",
    r"Content-Length": "several lengths, lists, more than 63 bits, or chunks as well (RFC 9112 6.3)",
    r"(?i:content-length|transfer-encoding) behind the body": "framing is no trailer's business (RFC 9110 6.5.1)",
    r"Transfer-Encoding that nobody asked for: b'(?i:chunked)'": "chunks from a 1.0 server: RFC 9112 6.1 says faulty",
    r"chunk size|chunk extension": "blanks after a size, extensions outside of the grammar (RFC 9112 7.1.1)",
}
ONLY_OURS = {
    # What h11's sentence says: why it is safe to read what h11 refuses.
    r"illegal chunk header: bytearray\(b'0+[0-9a-fA-F]{1,16}[;\\]": "zeros before a size: it is the same size, without limit",
}


class Seen(NamedTuple):
    """What a reader made of a stream, and of its end."""

    whole: bool
    head: tuple[bytes, int, bytes] | None
    headers: Fields
    interim: list[tuple[int, Fields]]
    body: bytes
    trailers: Fields
    reusable: bool
    why: str


def pieces(stream: bytes, size: int) -> list[bytes]:
    """The stream, cut into pieces of this size."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def ours(method: str, stream: Iterable[bytes]) -> Seen:
    """What Http1 makes of it. Its promises to a driver are checked on the way."""
    core = Http1()
    core.begin(method)
    body: list[bytes] = []
    why = ""
    try:
        for piece in stream:
            core.feed(piece)
            assert core.buffered == sum(map(len, core.parts))
            body += core.parts
            core.parts, core.buffered = [], 0
        if not core.complete:
            core.eof()
    except BrokenResponse as error:
        why = str(error)
        assert core.started
        body += core.parts
    assert all(body)
    assert core.head or not (core.complete or body)
    fields = [*core.headers, *core.trailers]
    assert all(value == value.strip() and not {0, 10, 13} & {*name, *value} for name, value in fields)
    head = (core.version, core.status, core.reason) if core.head else None
    headers = core.headers if core.head else []
    seen = Seen(core.complete, head, headers, core.interim, b"".join(body), core.trailers, core.reusable, why)
    afterwards(core)
    return seen


def afterwards(core: Http1) -> None:
    """A reusable connection reads the next answer as a new one does; any other refuses whatever comes."""
    if core.reusable:
        assert core.complete
        core.begin("GET")
        core.feed(NEXT)
        assert (core.status, core.parts, core.reusable) == (200, [b"ok"], True)
        return
    try:
        core.feed(NEXT)
    except BrokenResponse:
        pass
    else:
        raise AssertionError("a dead connection reads on")
    try:
        core.begin("GET")
    except RuntimeError:
        pass
    else:
        raise AssertionError("a dead connection begins an exchange")


def theirs(method: str, stream: Iterable[bytes]) -> Seen:
    """What h11 makes of it."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    head, headers, trailers, why = None, [], [], ""
    interim: list[tuple[int, Fields]] = []
    body: list[bytes] = []
    whole = kept = False
    try:
        for piece in [*stream, b""]:
            if whole:
                kept = kept and not piece
                continue
            reader.receive_data(piece)
            while (event := reader.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.InformationalResponse):
                    interim.append((event.status_code, event.headers.raw_items()))
                elif isinstance(event, h11.Response):
                    head = (b"HTTP/" + event.http_version, event.status_code, event.reason)
                    headers = event.headers.raw_items()
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    trailers = event.headers.raw_items()
                    whole = True
                    kept = bool(piece) and not reader.trailing_data[0]
                    break
                else:
                    raise h11.RemoteProtocolError("closed")
    except h11.RemoteProtocolError as error:
        why = str(error)
    kept = kept and reader.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
    return Seen(whole, head, headers, interim, b"".join(body), trailers, kept, why)


def same(our: Seen, their: Seen) -> None:
    """Wherever both accept, the same; what one of them refuses stands in a table."""
    if our.whole and their.whole:
        keeps = our.head is not None and our.head[0] == b"HTTP/1.0" and our.reusable
        # h11 takes every 1.0 connection for one that closes; we believe its `Connection: keep-alive`.
        expected = their._replace(reusable=True) if keeps else their
        # h11 gives this one value back in lower case.
        assert lowered(our)._replace(why="") == lowered(expected)._replace(why=""), (our, their)
    elif our.whole:
        assert any(re.search(part, their.why) for part in ONLY_OURS) or framed_interim(our, their), (
            our,
            their,
        )
    elif their.whole:
        assert any(re.search(part, our.why) for part in ONLY_H11), (our, their)
    if our.head and their.head:
        assert (our.head, lowered(our).headers) == (their.head, their.headers), (our, their)
        assert our.body.startswith(their.body) or their.body.startswith(our.body), (our, their)


def framed_interim(our: Seen, their: Seen) -> bool:
    """Whether h11 refused an interim answer for its framing. It has no body whatever it says (RFC 9110 15.2)."""
    names = {name.lower() for _, fields in our.interim for name, _ in fields}
    told = names & {b"transfer-encoding", b"content-length"}
    return bool(told) and re.search("Transfer-Encoding|Content-Length", their.why) is not None


def lowered(seen: Seen) -> Seen:
    """Transfer-Encoding in lower case, as h11 gives it back."""
    return seen._replace(
        headers=[
            (name, value.lower() if name.lower() == b"transfer-encoding" else value)
            for name, value in seen.headers
        ]
    )


def target(data: bytes) -> None:
    """One input: read in one piece, in pieces, byte by byte, and by h11."""
    method = METHODS.get(data[:1], "GET")
    size = (data[1] if len(data) > 1 else 0) % 32 + 1
    stream = data[2:]
    if not stream:
        return
    whole = ours(method, [stream])
    for cut in {size, 1} if len(stream) < 2000 else {size * 61}:
        alike(whole, ours(method, pieces(stream, cut)))
    same(whole, theirs(method, [stream]))


def alike(one: Seen, other: Seen) -> None:
    """In pieces or not, the same comes out. Only the sentence may differ: what comes late is refused as unasked for, what
    came along is left over; and of several faults in one head another one may be met first."""
    assert one._replace(why="") == other._replace(why=""), (one, other)


def main() -> None:
    """Run under atheris. What it learns goes to a temporary folder: the corpus here is kept small by hand."""
    import atheris

    for module in (http1, h11._connection, h11._readers):
        members = [
            member for member in vars(module).values() if getattr(member, "__module__", "") == module.__name__
        ]
        for member in members:
            for function in vars(member).values() if isinstance(member, type) else [member]:
                if isinstance(function, FunctionType):
                    atheris.instrument_func(function)
    with TemporaryDirectory() as learnt:
        atheris.Setup([sys.argv[0], *sys.argv[1:], learnt, str(CORPUS)], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
