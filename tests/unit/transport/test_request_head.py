"""Request heads: what is written, and what must not be."""

from __future__ import annotations

import pytest

from meshlib.transport.request_head import (
    CHUNKED,
    LAST_CHUNK,
    NO_BODY,
    BodyWriter,
    RefusedRequest,
    body_framing,
    chunk,
    header_block,
    request_head,
    request_line,
)

HOST = (b"Host", b"orders")


def test_head() -> None:
    """Line, fields in their order and spelling, blank line."""
    fields = [HOST, (b"accept", b"*/*"), (b"X-Empty", b""), (b"X-Text", b"a \t\xc3\xa9~")]
    assert request_head("GET", b"/v1?a=b", fields) == (
        b"GET /v1?a=b HTTP/1.1\r\nHost: orders\r\naccept: */*\r\nX-Empty: \r\nX-Text: a \t\xc3\xa9~\r\n\r\n"
    )


def test_parts_make_the_whole() -> None:
    """For callers that keep the lines of some fields."""
    fields = [HOST, (b"A", b"b")]
    parts = (
        request_line("POST", b"*")
        + header_block(fields[:1])
        + header_block(fields[1:])
        + header_block([])
        + b"\r\n"
    )
    assert parts == request_head("POST", b"*", fields)


@pytest.mark.parametrize("method", ["GET", "QUERY", "x-custom", "!#$%&'*+-.^_`|~09"])
def test_methods(method: str) -> None:
    """Every token is one."""
    assert request_line(method, b"/").startswith(method.encode() + b" / ")


@pytest.mark.parametrize(
    "method", ["", "GET ", "G ET", "GET\r\nX: y", "GET\0", "GÉT", "G\u0131T", "GET/", "G(T"]
)
def test_refused_methods(method: str) -> None:
    """Nothing else is."""
    with pytest.raises(RefusedRequest):
        request_line(method, b"/")


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"/a b",
        b"/a\r\nX: y",
        b"/a\n",
        b"/\0",
        b"/\t",
        b"/\x7f",
        b"/\x1f",
        b"/caf\xe9",
        b" /",
        b"/ HTTP/1.1",
    ],
)
def test_refused_targets(target: bytes) -> None:
    """A target is visible ASCII."""
    with pytest.raises(RefusedRequest):
        request_line("GET", target)


@pytest.mark.parametrize(
    "name", [b"", b"A b", b"A:", b"A\r\nB", b"A\0", b"\xe9", b"A\t", b" A", b"A ", b"(A)"]
)
def test_refused_names(name: bytes) -> None:
    """A name is a token, wherever it stands."""
    for fields in ([(name, b"x"), (b"A", b"b")], [(b"A", b"b"), (name, b"x")]):
        with pytest.raises(RefusedRequest):
            header_block(fields)


@pytest.mark.parametrize(
    "value",
    [
        b" a",
        b"a ",
        b"\ta",
        b"a\t",
        b" ",
        b"a\r\nB: c",
        b"a\rb",
        b"a\nb",
        b"a\0b",
        b"a\x0bb",
        b"\x7f",
        b"a\r\n",
        b"\x1b[0m",
    ],
)
def test_refused_values(value: bytes) -> None:
    """No control character but a tab inside, no blanks around it."""
    with pytest.raises(RefusedRequest) as refused:
        header_block([(b"A", b"b"), (b"X-Key", value)])
    assert "X-Key" in str(refused.value)


def test_values_are_not_told() -> None:
    """They may be secrets."""
    for value in (b"secret\0", b" secret"):
        with pytest.raises(RefusedRequest) as refused:
            header_block([(b"X-Key", value)])
        assert "secret" not in str(refused.value)


def test_one_host() -> None:
    """RFC 9112 section 3.2."""
    for fields in ([], [(b"A", b"b")], [HOST, (b"host", b"other")]):
        with pytest.raises(RefusedRequest, match="Host"):
            request_head("GET", b"/", fields)


def test_framing() -> None:
    """Chunks, a length, or nothing."""
    assert body_framing([HOST]) == body_framing([]) == NO_BODY
    assert body_framing([HOST, (b"content-length", b"0")]) == NO_BODY
    assert body_framing([(b"Content-Length", b"12")]) == 12
    assert body_framing([(b"transfer-encoding", b"Chunked")]) == CHUNKED


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Content-Length", b"1"), (b"content-length", b"1")],
        [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"0")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"identity")],
        [(b"Transfer-Encoding", b"")],
        [(b"Content-Length", b"")],
        [(b"Content-Length", b"1, 1")],
        [(b"Content-Length", b"+1")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"1_0")],
        [(b"Content-Length", b" 1")],
        [(b"Content-Length", b"0x1")],
        [(b"Content-Length", b"1" * 20)],
    ],
)
def test_refused_framing(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever two readers could understand in two ways."""
    with pytest.raises(RefusedRequest):
        body_framing(fields)


def test_chunks() -> None:
    """An empty piece is no chunk: it would end the body."""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk(b"") == b""
    writer = BodyWriter(CHUNKED)
    assert (writer.write(b"ab"), writer.write(b""), writer.end()) == (b"2\r\nab\r\n", b"", LAST_CHUNK)


def test_length_is_kept() -> None:
    """Neither more nor less than announced leaves."""
    writer = BodyWriter(3)
    assert writer.write(b"ab") == b"ab"
    with pytest.raises(RefusedRequest, match="1 bytes shorter"):
        writer.end()
    with pytest.raises(RefusedRequest, match="longer"):
        writer.write(b"cd")
    assert (writer.write(b"c"), writer.end()) == (b"c", b"")
    with pytest.raises(RefusedRequest, match="longer"):
        BodyWriter(NO_BODY).write(b"a")
    assert BodyWriter(NO_BODY).end() == b""
