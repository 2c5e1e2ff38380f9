"""RequestReader and ReceivedRequest."""

import pytest

from meshlib.testing.received import MAX_HEAD, BadRequestError, ReceivedRequest, RequestReader

POST = b"POST /x?y=1 HTTP/1.1\r\nHost: a\r\nX-N: 1\r\nx-n:  2 \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;q=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


def read(data: bytes) -> ReceivedRequest | None:
    reader = RequestReader(7)
    reader.feed(data)
    return reader.take()


def test_head_and_body() -> None:
    """Everything arrives as it was sent."""
    request = read(POST)
    assert request is not None
    assert (request.method, request.target, request.path) == ("POST", "/x?y=1", "/x")
    assert (request.body, request.connection) == (b"hello", 7)
    assert request.header("X-N") == "1, 2"
    assert request.header("absent", "-") == "-"
    assert request.headers[0] == ("Host", "a")


@pytest.mark.parametrize(("data", "body"), [(POST, b"hello"), (CHUNKED, b"hello world")])
def test_byte_by_byte(data: bytes, body: bytes) -> None:
    """However it is cut, a request is whole with its last byte and not before; the next one starts clean."""
    reader = RequestReader()
    for _ in range(2):
        for index in range(len(data) - 1):
            reader.feed(data[index : index + 1])
            assert reader.take() is None
        reader.feed(data[-1:])
        request = reader.take()
        assert request is not None
        assert request.body == body


def test_several_at_once() -> None:
    """Requests in one packet come out one by one."""
    reader = RequestReader()
    reader.feed(CHUNKED + POST + POST)
    methods = [request.method for _ in range(3) if (request := reader.take())]
    assert methods == ["PUT", "POST", "POST"]
    assert reader.take() is None


def test_expect_continue() -> None:
    """The body is asked for once, and only when there is one to come."""
    head = POST[:-5].replace(b"Host", b"Expect: 100-continue\r\nHost")
    reader = RequestReader()
    reader.feed(head)
    assert reader.take() is None
    assert reader.wants_continue
    reader.continued()
    reader.feed(b"hel")
    assert reader.take() is None
    assert not reader.wants_continue
    reader.feed(b"lo")
    assert reader.take() is not None

    reader.feed(head + b"hello")
    assert reader.take() is not None
    assert not reader.wants_continue


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [("1.1", "", True), ("1.1", "close", False), ("1.0", "", False), ("1.0", "x, Keep-Alive", True)],
)
def test_keep_alive(version: str, connection: str, kept: bool) -> None:
    """By version and Connection header."""
    line = f"Connection: {connection}\r\n" if connection else ""
    request = read(f"GET / HTTP/{version}\r\n{line}\r\n".encode())
    assert request is not None
    assert request.keep_alive is kept


@pytest.mark.parametrize(
    "data",
    [
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"G(T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * (MAX_HEAD + 1),
        b"x" * (MAX_HEAD + 1),
        b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n",
    ],
)
def test_bad_requests(data: bytes) -> None:
    """What a server must not guess about is refused."""
    with pytest.raises(BadRequestError):
        read(data)
