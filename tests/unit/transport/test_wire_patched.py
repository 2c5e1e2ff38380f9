"""An attempt through a patched transport of the family."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED
from meshlib.transport.binding import Binding
from meshlib.transport.response import History
from meshlib.transport.wire_patched import AsyncPatchedWire, PatchedWire

Begun = Callable[..., Attempt]
NOW = 101.0


class Inner:
    """The wire behind, for both colours: keeps what it was asked, answers 200 or raises."""

    def __init__(self, binding: Binding, body: Any = b"fine", error: Exception | None = None) -> None:
        self.binding, self.body, self.error = binding, body, error
        self.asked: list[Any] = []

    def send(self, attempt: Attempt, request: Any) -> Any:
        """A response whose body is whole, or a stream."""
        self.asked.append(request)
        attempt.sent = True
        if self.error is not None:
            raise self.error
        stream = self.binding.ByteStream(self.body) if isinstance(self.body, bytes) else self.body
        return self.binding.response(
            attempt, 200, [(b"X-From", b"wire")], stream, {"http_version": b"HTTP/1.1"}
        )

    async def asend(self, attempt: Attempt, request: Any) -> Any:
        """The same."""
        return self.send(attempt, request)


class Asynchronous:
    """An Inner as an async wire."""

    def __init__(self, inner: Inner) -> None:
        self.send = inner.asend


def part_streams(binding: Binding) -> Any:
    """A stream of the family's that is no ByteStream, and whether it was closed."""

    class Parts(binding.SyncByteStream, binding.AsyncByteStream):  # type: ignore[name-defined, misc]
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield from (b"one", b"two")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in (b"one", b"two"):
                yield part

        def close(self) -> None:
            self.closed = True

        async def aclose(self) -> None:
            self.closed = True

    return Parts()


@pytest.fixture(params=["sync", "async"])
def sent(request: pytest.FixtureRequest, binding: Binding) -> Any:
    """`sent(inner, attempt, request)` through the patched wire of either colour."""

    def send(inner: Inner, attempt: Attempt, asked: Any) -> Any:
        if request.param == "sync":
            return PatchedWire(binding, inner, lambda: NOW).send(attempt, asked)  # type: ignore[arg-type]
        wire = AsyncPatchedWire(binding, Asynchronous(inner), lambda: NOW)  # type: ignore[arg-type]
        return asyncio.run(wire.send(attempt, asked))

    return send


@pytest.fixture
def patch(request: pytest.FixtureRequest, http: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`patch(before=..., instead=...)` puts a function into both transports of the family; returns what they were shown."""

    def put(before: Any = None, instead: Any = None) -> list[Any]:
        shown: list[Any] = []
        real, areal = http.HTTPTransport.handle_request, http.AsyncHTTPTransport.handle_async_request

        def seen(transport: Any, request: Any) -> bool:
            shown.append(request)
            if before is not None:
                before(request)
            return instead is not None

        def handle(transport: Any, request: Any) -> Any:
            return instead(request) if seen(transport, request) else real(transport, request)

        async def ahandle(transport: Any, request: Any) -> Any:
            return instead(request) if seen(transport, request) else await areal(transport, request)

        monkeypatch.setattr(http.HTTPTransport, "handle_request", handle)
        monkeypatch.setattr(http.AsyncHTTPTransport, "handle_async_request", ahandle)
        return shown

    return put


def test_a_tool_that_looks_on(binding: Binding, begun: Begun, sent: Any, patch: Any) -> None:
    """It is shown the caller's request once, under the service's name; the wire gets the same; the answer is one of ours."""
    shown, inner = patch(), Inner(binding)
    request = binding.Request("POST", "http://orders/a%20b?c=%2F", json={"a": 1})
    attempt = begun(request, flags=BUFFERED)
    attempt.headers = {"traceparent": "ours"}
    response = sent(inner, attempt, request)
    [seen], [asked] = shown, inner.asked
    assert str(seen.url) == str(asked.url) == "http://orders/a%20b?c=%2F"
    assert seen.content == b'{"a":1}'
    assert seen.headers["traceparent"] == asked.headers["traceparent"] == "ours"
    assert "traceparent" not in request.headers
    assert isinstance(response.extensions["meshlib"], History)
    assert response.headers["x-from"] == "wire"
    assert isinstance(response.stream, binding.ByteStream)
    assert b"".join(response.stream) == b"fine"


def test_what_a_tool_writes_into_the_request_is_sent(
    binding: Binding, begun: Begun, sent: Any, patch: Any
) -> None:
    """Its header wins over ours of that name, and the caller's request is as it was."""

    def mark(request: Any) -> None:
        request.headers["traceparent"] = "theirs"
        request.stream = binding.ByteStream(b"else")

    patch(before=mark)
    inner, request = Inner(binding), binding.Request("PUT", "http://orders/", content=b"some")
    attempt = begun(request, flags=BUFFERED)
    attempt.headers = {"traceparent": "ours"}
    sent(inner, attempt, request)
    [asked] = inner.asked
    assert asked.headers.get_list("traceparent") == ["theirs"]
    assert b"".join(asked.stream) == b"else"
    assert b"".join(request.stream) == b"some"


def test_a_mock_that_answers(binding: Binding, begun: Begun, http: Any, sent: Any, patch: Any) -> None:
    """The wire is not asked; the attempt counts as sent and has a head."""
    patch(instead=lambda request: http.Response(201, json={"id": 42}))
    inner, request = Inner(binding), binding.Request("GET", "http://orders/")
    attempt = begun(request, flags=BUFFERED)
    response = sent(inner, attempt, request)
    assert inner.asked == []
    assert response.status_code == 201
    assert response.read() == b'{"id":42}'
    assert (attempt.sent, attempt.head) == (True, NOW)


def test_a_mock_that_fails(binding: Binding, begun: Begun, http: Any, sent: Any, patch: Any) -> None:
    """Its error comes out; as the request counts as sent, only what is idempotent will be repeated."""

    def fail(request: Any) -> Any:
        raise http.ReadError("gone")

    patch(instead=fail)
    request = binding.Request("POST", "http://orders/")
    attempt = begun(request, flags=BUFFERED)
    with pytest.raises(http.ReadError):
        sent(Inner(binding), attempt, request)
    assert attempt.sent


def test_the_wires_errors_come_through(
    binding: Binding, begun: Begun, http: Any, sent: Any, patch: Any
) -> None:
    """As they are: the family's transport translates only what is httpcore's."""
    shown, error = patch(), http.ConnectError("refused")
    request = binding.Request("GET", "http://orders/")
    with pytest.raises(http.ConnectError) as caught:
        sent(Inner(binding, error=error), begun(request, flags=BUFFERED), request)
    assert caught.value is error
    assert len(shown) == 1


def test_a_mocked_stream_holds_the_lease(binding: Binding, begun: Begun, http: Any, patch: Any) -> None:
    """For a call that streams: until the body is closed, or dropped."""
    parts = part_streams(binding)
    patch(instead=lambda request: http.Response(200, stream=parts))
    request = binding.Request("GET", "http://orders/")
    attempt = begun(request)
    wire = PatchedWire(binding, Inner(binding), lambda: NOW)  # type: ignore[arg-type]
    response = wire.send(attempt, request)
    assert attempt.held
    assert b"".join(response.stream) == b"onetwo"
    response.stream.close()
    assert not attempt.held
    assert parts.closed
    dropped = begun(request)
    wire.send(dropped, request)
    gc.collect()
    assert dropped in dropped.call.plan.cluster.abandoned


def test_a_buffered_call_gets_its_stream_whole(
    binding: Binding, begun: Begun, http: Any, sent: Any, patch: Any
) -> None:
    """Read and closed within the attempt."""
    parts = part_streams(binding)
    patch(instead=lambda request: http.Response(200, stream=parts))
    request = binding.Request("GET", "http://orders/")
    response = sent(Inner(binding), begun(request, flags=BUFFERED), request)
    assert b"".join(response.stream) == b"onetwo"
    assert parts.closed


def test_the_wires_stream_is_not_leased_twice(binding: Binding, begun: Begun, patch: Any) -> None:
    """The body that the wire made gives the lease back, when the outermost stream is closed."""
    patch()
    closed: list[bool] = []
    parts = part_streams(binding)
    parts.close = lambda: closed.append(True)
    request = binding.Request("GET", "http://orders/")
    attempt = begun(request)
    inner = Inner(binding, parts)
    response = PatchedWire(binding, inner, lambda: NOW).send(attempt, request)  # type: ignore[arg-type]
    assert not isinstance(response.stream, binding.leased)  # type: ignore[arg-type]
    response.stream.close()
    assert closed == [True]


def test_a_response_of_a_class_of_its_own(
    binding: Binding, begun: Begun, http: Any, sent: Any, patch: Any
) -> None:
    """Stays of that class, and gets its history."""
    own = type("Own", (http.Response,), {})
    patch(instead=lambda request: own(200, content=b"x"))
    request = binding.Request("GET", "http://orders/")
    response = sent(Inner(binding), begun(request, flags=BUFFERED), request)
    assert type(response) is own
    assert isinstance(response.extensions["meshlib"], History)


def test_a_tool_that_sends_it_elsewhere(binding: Binding, begun: Begun, sent: Any, patch: Any) -> None:
    """A URL that the tool changed reaches the wire; the request line of the `target` extension is left to it."""

    def move(request: Any) -> None:
        request.url = request.url.copy_with(path="/v2")

    patch(before=move)
    inner = Inner(binding)
    request = binding.Request("GET", "http://orders/v1?a=1")
    sent(inner, begun(request, flags=BUFFERED), request)
    star = binding.Request("OPTIONS", "http://orders/", extensions={"target": b"*"})
    sent(inner, begun(star, flags=BUFFERED), star)
    assert inner.asked[0].url.raw_path == b"/v2?a=1"
    assert inner.asked[1].extensions["target"] == b"*"
