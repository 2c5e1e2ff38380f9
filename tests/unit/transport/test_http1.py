"""Http1: framing, bounds, reuse, and everything a peer may do wrong."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Iterable
from itertools import repeat

import pytest

from meshlib.transport.http1 import MOST_FIELDS, MOST_HEAD, BrokenResponse, Http1

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SHORT = OK + b"Content-Length: 2\r\n\r\nok"


def answer(stream: bytes, method: str = "GET") -> Http1:
    """A connection that has read this answer."""
    core = Http1()
    core.begin(method)
    core.feed(stream)
    return core


def refused(stream: bytes, method: str = "GET") -> str:
    """Why the answer was refused; in one piece and byte by byte."""
    core = Http1()
    core.begin(method)
    with pytest.raises(BrokenResponse) as broken:
        feed_all(core, (bytes([byte]) for byte in stream))
    assert not core.reusable
    with pytest.raises(BrokenResponse) as whole:
        answer(stream, method)
    assert whole.value.started == broken.value.started
    return str(whole.value)


def feed_all(core: Http1, stream: Iterable[bytes]) -> None:
    for piece in stream:
        core.feed(piece)


def body(core: Http1) -> bytes:
    return b"".join(core.parts)


# An answer.


def test_whole_answer() -> None:
    """Status line, raw fields in order, and the body."""
    core = answer(
        b"HTTP/1.1 404 Nope\r\nServer: a\r\nset-cookie: b\r\nContent-Length: 2\r\nSet-Cookie: c\r\n\r\nno"
    )
    assert (core.version, core.status, core.reason) == (b"HTTP/1.1", 404, b"Nope")
    assert core.headers == [
        (b"Server", b"a"),
        (b"set-cookie", b"b"),
        (b"Content-Length", b"2"),
        (b"Set-Cookie", b"c"),
    ]
    assert (core.head, core.complete, core.reusable, body(core), core.buffered) == (
        True,
        True,
        True,
        b"no",
        2,
    )


def test_values_lose_their_blanks() -> None:
    """Around a value, on both sides; inside it they stay; an empty value is one."""
    core = answer(OK + b"A: \t b \t c \t\r\nD:\r\nE: \t\r\nF: caf\xe9\r\nContent-Length: 0\r\n\r\n")
    assert core.headers[:4] == [(b"A", b"b \t c"), (b"D", b""), (b"E", b""), (b"F", b"caf\xe9")]


def test_reasons() -> None:
    """Missing, empty, unusual."""
    assert answer(b"HTTP/1.1 404\r\n\r\n").reason == b""
    assert answer(b"HTTP/1.1 404 \r\n\r\n").reason == b""
    assert answer(b"HTTP/1.1 299 \xc3\xa9 ~\t\r\n\r\n").reason == b"\xc3\xa9 ~\t"


def test_byte_by_byte() -> None:
    """However the answer is cut, the same comes out."""
    core = Http1()
    core.begin("GET")
    for byte in CHUNKED + b"2\r\nok\r\n0\r\nSum: 1\r\n\r\n":
        assert not core.complete
        core.feed(bytes([byte]))
    assert (core.complete, core.reusable, body(core), core.trailers) == (True, True, b"ok", [(b"Sum", b"1")])


def test_nothing_read_is_nothing() -> None:
    """An empty read changes nothing in any phase."""
    core = Http1()
    core.feed(b"")
    core.begin("GET")
    core.feed(b"")
    assert not core.started
    core.feed(SHORT[:-1])
    core.feed(b"")
    assert core.parts == [b"o"]
    core.feed(b"k")
    core.feed(b"")
    assert core.reusable


def test_parts_are_taken() -> None:
    """A driver takes what has come; the rest follows in a new list."""
    for head, rest in (
        (OK + b"Content-Length: 4\r\n\r\nab", b"cd"),
        (CHUNKED + b"4\r\nab", b"cd\r\n0\r\n\r\n"),
    ):
        core = answer(head)
        parts, core.parts, core.buffered = core.parts, [], 0
        core.feed(rest)
        assert (parts, core.parts, core.buffered, core.complete) == ([b"ab"], [b"cd"], 2, True)


# Where the body ends.


def test_no_body() -> None:
    """HEAD, 204, 304 and a length of zero end with the head, whatever else it says."""
    long = b"Content-Length: 9\r\n\r\n"
    for method, head in (
        ("HEAD", OK + long),
        ("HEAD", CHUNKED),
        ("HEAD", OK + b"\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n" + long),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n" + long),
        ("GET", OK + b"Content-Length: 0\r\n\r\n"),
    ):
        core = answer(head, method)
        assert (core.complete, core.reusable, core.parts) == (True, True, [])
        assert not answer(head + b"x", method).reusable


def test_until_close() -> None:
    """Without a length the end of file ends the body, and the connection with it."""
    core = answer(OK + b"Connection: keep-alive\r\n\r\nab")
    core.feed(b"c")
    assert not core.complete
    core.eof()
    assert (core.complete, core.reusable, body(core), core.buffered) == (True, False, b"abc", 3)


def test_chunks() -> None:
    """Sizes in hexadecimal, extensions passed over, trailers kept apart."""
    core = answer(CHUNKED + b'1;a="b;"\r\n\r\r\nA\r\n0123456789\r\n0\r\nSum: 1 \r\nEmpty:\r\n\r\n')
    assert body(core) == b"\r0123456789"
    assert core.trailers == [(b"Sum", b"1"), (b"Empty", b"")]
    assert core.headers == [(b"Transfer-Encoding", b"chunked")]
    assert core.reusable


def test_interim_answers() -> None:
    """1xx answers come before the final one; 100 is told apart."""
    core = answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n")
    assert (core.head, core.continued, core.interim) == (
        False,
        False,
        [(103, [(b"Link", b"</a>"), (b"Content-Length", b"5")])],
    )
    core.feed(b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\nHTT")
    assert (core.head, core.continued) == (False, True)
    core.feed(SHORT[3:])
    assert (core.status, body(core), core.reusable, len(core.interim)) == (200, b"ok", True, 2)


def test_connect() -> None:
    """A tunnel is not read, and its connection carries nothing else."""
    core = answer(OK + b"Transfer-Encoding: chunked\r\n\r\n", "CONNECT")
    assert (core.complete, core.reusable) == (True, False)
    assert answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "CONNECT").parts == [b"no"]


# Whether the connection stays.


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: CLOSE\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: upgrade , Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: closed\r\n", True),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", True),
        (b"HTTP/1.1 200 OK\r\nProxy-Connection: close\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n", False),
    ],
)
def test_persistence(head: bytes, reusable: bool) -> None:
    """RFC 9112 section 9.3."""
    assert answer(head + b"Content-Length: 2\r\n\r\nok").reusable is reusable


def test_our_own_close() -> None:
    """Who has announced that it closes does not go on, whatever the peer says."""
    core = Http1()
    core.begin("GET", True)
    core.feed(SHORT)
    assert not core.reusable


@pytest.mark.parametrize(
    "more", [b"\r\n", b"\n", b"\r", b"H", b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nz", b"\r\n\r\n", b"0\r\n\r\n"]
)
@pytest.mark.parametrize(
    "stream",
    [
        SHORT,
        OK + b"Content-Length: 0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"0\r\nA: b\r\n\r\n",
    ],
)
def test_bytes_behind_the_end(stream: bytes, more: bytes) -> None:
    """The answer is whole and unchanged, and nothing else is read from that connection."""
    exact = answer(stream)
    for late in (False, True):
        core = answer(stream) if late else answer(stream + more)
        if late:
            with pytest.raises(BrokenResponse, match="nobody asked for"):
                core.feed(more)
        assert (core.complete, core.reusable) == (True, False)
        assert (core.headers, core.trailers, body(core)) == (exact.headers, exact.trailers, body(exact))
        with pytest.raises(RuntimeError):
            core.begin("GET")


def test_unasked_bytes() -> None:
    """What comes before the first request is no answer to it."""
    core = Http1()
    with pytest.raises(BrokenResponse, match="nobody asked for") as broken:
        core.feed(SHORT)
    assert not broken.value.started
    assert not core.reusable


def test_end_between_exchanges() -> None:
    """A peer that closes an idle connection does nothing wrong."""
    for core in (Http1(), answer(SHORT)):
        core.eof()
        assert not core.reusable


def test_next_exchange() -> None:
    """Nothing of an answer is left in the next one, and the lists of the first stay its own."""
    core = answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nKeep-Alive: timeout=7\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nno\r\n0\r\nSum: 1\r\n\r\n"
    )
    first = (core.headers, core.parts, core.trailers, core.interim)
    assert core.keep_alive == 7.0
    core.begin("HEAD")
    assert (core.status, core.head, core.complete, core.continued, core.reusable) == (
        0,
        False,
        False,
        False,
        False,
    )
    assert (core.headers, core.parts, core.buffered, core.trailers, core.interim) == ([], [], 0, [], [])
    assert (core.keep_alive, core.started) == (None, False)
    core.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    assert (core.complete, core.reusable, core.parts) == (True, True, [])
    assert [len(kept) for kept in first] == [2, 1, 1, 1]


def test_one_exchange_at_a_time() -> None:
    """A second request before the answer is complete is a mistake of ours."""
    core = answer(SHORT[:-1])
    with pytest.raises(RuntimeError):
        core.begin("GET")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5, max=100", 5.0),
        (b"max=100, Timeout = 60", 60.0),
        (b'timeout="15"', 15.0),
        (b"max=100", None),
        (b"timeout=soon", None),
        (b"mytimeout=5", None),
        (b"timeout=99999999999999999999", None),
    ],
)
def test_keep_alive(value: bytes, seconds: float | None) -> None:
    """Keep-Alive: timeout= in seconds; what is not a number of them says nothing."""
    assert answer(OK + b"Keep-Alive: " + value + b"\r\nContent-Length: 0\r\n\r\n").keep_alive == seconds


# What is refused.


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 20", "closed the connection in the middle of a head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed the connection after an interim answer"),
        (
            OK + b"content-length: 100\r\n\r\n0123456789",
            "closed the connection after 10 of 100 bytes of the body",
        ),
        (CHUNKED + b"2\r\nok\r\n", "closed the connection before the last chunk of the body"),
        (CHUNKED + b"2\r\nok\r\n0\r\n", "closed the connection before the last chunk of the body"),
    ],
)
def test_cut(stream: bytes, text: str) -> None:
    """Cut is told from complete in every framing, and whether anything had come."""
    core = Http1()
    core.begin("GET")
    core.feed(stream)
    with pytest.raises(BrokenResponse) as broken:
        core.eof()
    assert str(broken.value) == text
    assert broken.value.started is bool(stream)
    assert (core.complete, core.reusable) == (False, False)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/2.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/1.10 200 OK",
        b"http/1.1 200 OK",
        b"RTSP/1.0 200 OK",
        b"ICY 200 OK",
        b"SSH-2.0-OpenSSH_9.6",
        b"HTTP/1.1 099 Low",
        b"HTTP/1.1 20 Short",
        b"HTTP/1.1 2000 Long",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\x7fK",
        b"HTTP/1.1 200 OK\n",
        b" HTTP/1.1 200 OK",
        b"\r\nHTTP/1.1 200 OK",
        b"",
    ],
)
def test_status_lines(line: bytes) -> None:
    """Anything but HTTP/1.0 and 1.1, and a status from 100 to 999."""
    assert refused(line + b"\r\nContent-Length: 0\r\n\r\n")


def test_switching_protocols() -> None:
    """Nobody asked for it: what follows would be no HTTP."""
    for fields in (b"", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"):
        assert (
            refused(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n")
            == "switched protocols unasked"
        )


@pytest.mark.parametrize(
    "field",
    [
        b"A : b",
        b"A b: c",
        b": b",
        b"A",
        b"N@me: b",
        b"N\xe9: b",
        b"A: b\0c",
        b"A: b\x0bc",
        b"A: \x0cb",
        b"A: b\x7f",
        b"A: b\rContent-Length: 0",
        b"A: b\nContent-Length: 0",
        b"A: b\r\n folded",
        b"A: b\r\n\tfolded",
        b" A: b",
    ],
)
def test_fields(field: bytes) -> None:
    """Names that are no tokens, control characters, folded lines, line ends that are none."""
    assert refused(OK + field + b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 2",
        b"Content-Length: 2\r\ncontent-length: 3",
        b"Content-Length: 2, 2",
        b"Content-Length: +2",
        b"Content-Length: -2",
        b"Content-Length: 0x2",
        b"Content-Length: 2_0",
        b"Content-Length: 2 0",
        b"Content-Length: \xb2",
        b"Content-Length:",
        b"Content-Length: 18446744073709551618",
        b"Content-Length: " + b"0" * 5000 + b"2",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding:",
        b"Transfer-Encoding : chunked",
    ],
)
def test_framing(fields: bytes) -> None:
    """Whatever two readers could understand in two ways."""
    assert refused(OK + fields + b"\r\n\r\n")
    assert refused(OK + fields + b"\r\n\r\n", "HEAD")


def test_chunks_from_an_old_server() -> None:
    """RFC 9112 section 6.1: the framing is faulty."""
    assert "Transfer-Encoding" in refused(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "rest",
    [
        b"2\nok\r\n0\r\n\r\n",
        b"2\r\nok\n0\r\n\r\n",
        b"2\r\nok0\r\n\r\n",
        b"2\r\nokok\r\n0\r\n\r\n",
        b"2 \r\nok\r\n0\r\n\r\n",
        b"2\r\rok\r\n0\r\n\r\n",
        b"0x2\r\nok\r\n0\r\n\r\n",
        b"+2\r\nok\r\n0\r\n\r\n",
        b"-2\r\nok\r\n0\r\n\r\n",
        b"\r\nok\r\n0\r\n\r\n",
        b"10000000000000002\r\nok\r\n0\r\n\r\n",
        b"2;a\nb\r\nok\r\n0\r\n\r\n",
        b"2;a\0b\r\nok\r\n0\r\n\r\n",
        b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
        b"2\r\nok\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"2\r\nok\r\n0\r\nA : b\r\n\r\n",
        b"2\r\nok\r\n0\r\nA: b\r\n c\r\n\r\n",
        b"2\r\nok\r\n0\r\nA: b\n\r\n",
        b"2\r\nok\r\n0\r\n\n",
    ],
)
def test_chunk_grammar(rest: bytes) -> None:
    """Sizes, line ends, extensions and trailers outside of RFC 9112 section 7.1."""
    assert refused(CHUNKED + rest)


def test_garbage_is_seen_at_once() -> None:
    """Without waiting for a blank line that never comes."""
    for start in (b"<html>", b"HTTP/1.1 200 OK\nContent-", OK + b"A b"):
        with pytest.raises(BrokenResponse):
            answer(start)


def test_what_was_refused_stays_refused() -> None:
    """A broken connection says the same again."""
    core = Http1()
    core.begin("GET")
    for _ in range(2):
        with pytest.raises(BrokenResponse, match="does not speak HTTP/1"):
            core.feed(b"<html>")
    core.eof()


# Bounds.


def sized(size: int) -> bytes:
    """A head of so many bytes."""
    start, end = OK + b"Content-Length: 0\r\nA: ", b"\r\n\r\n"
    return start + b"a" * (size - len(start) - len(end)) + end


def test_longest_head() -> None:
    """To the byte, in one piece and in many; interim heads count."""
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    for size in (1000, MOST_HEAD):
        for before in (b"", early):
            fits, more = before + sized(MOST_HEAD - len(before)), before + sized(MOST_HEAD - len(before) + 1)
            core = Http1()
            core.begin("GET")
            feed_all(core, (fits[start : start + size] for start in range(0, len(fits), size)))
            assert core.reusable
            core.begin("GET")
            with pytest.raises(BrokenResponse, match="more than 65536 bytes"):
                feed_all(core, (more[start : start + size] for start in range(0, len(more), size)))


def test_endless_head() -> None:
    """Headers without end are given up, and so are interim answers."""
    for piece in (b"A: b\r\n", b"a" * 100):
        core = answer(OK + b"A: ")
        with pytest.raises(BrokenResponse, match="more than 65536 bytes"):
            feed_all(core, repeat(piece, MOST_HEAD))
    core = Http1()
    core.begin("GET")
    with pytest.raises(BrokenResponse, match="more than 65536 bytes"):
        feed_all(core, repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n", MOST_HEAD))


def test_most_fields() -> None:
    """In heads and in trailers."""
    assert answer(OK + b"A: b\r\n" * (MOST_FIELDS - 1) + b"Content-Length: 0\r\n\r\n").reusable
    assert "more than 256 fields" in refused(OK + b"A: b\r\n" * MOST_FIELDS + b"Content-Length: 0\r\n\r\n")
    assert answer(CHUNKED + b"0\r\n" + b"A: b\r\n" * MOST_FIELDS + b"\r\n").reusable
    assert "trailer" in refused(CHUNKED + b"0\r\n" + b"A: b\r\n" * (MOST_FIELDS + 1) + b"\r\n")


@pytest.mark.parametrize("start", [b"0", b"1;", b"1;a=", b'1;a="', b"0\r\nA: ", b"2\r\nok\r\n1;a=", b"0\r\n"])
def test_endless_chunk_framing(start: bytes) -> None:
    """Sizes, extensions and trailers without end are given up, after little more than the bound."""
    core = answer(CHUNKED + start)
    piece = b"A: b\r\n" * 100 if start == b"0\r\n" else b"0" * 1000
    bound = MOST_HEAD // len(piece)
    feed_all(core, repeat(piece, bound - 1))
    with pytest.raises(BrokenResponse, match="without end"):
        feed_all(core, repeat(piece, 2))


def test_trailers_in_one_read() -> None:
    """Their bound holds also when they come at once."""
    core = answer(CHUNKED)
    with pytest.raises(BrokenResponse, match="trailer"):
        core.feed(b"2\r\nok\r\n0\r\nA: " + b"a" * MOST_HEAD + b"\r\n\r\n")
    assert not core.complete


# The objects.


def test_connections_are_no_cycles() -> None:
    """What is let go of in the middle of anything goes at once, without the collector."""

    class Watched(Http1):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        for stream in (b"HTTP/1.1 2", CHUNKED + b"5\r\nhe", OK + b"Content-Length: 5\r\n\r\nhe", SHORT):
            core = Watched()
            core.begin("GET")
            core.feed(stream)
            seen = weakref.ref(core)
            del core
            assert seen() is None
    finally:
        gc.enable()


def test_taken_bodies_are_not_kept() -> None:
    """A long-lived connection holds no body that the driver has taken."""
    core = answer(CHUNKED + b"5\r\nhello\r\n")
    parts, core.parts = core.parts, []
    assert all(referrer is not parts for referrer in gc.get_referents(core._told))


def test_error_pickles() -> None:
    """With its fact."""
    error = pickle.loads(pickle.dumps(BrokenResponse("closed", False)))
    assert (str(error), error.started) == ("closed", False)
