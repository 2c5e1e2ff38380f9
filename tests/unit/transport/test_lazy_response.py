"""Responses that are kept as what came off the wire."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.core.outcome import Kind, Outcome
from meshlib.engine.attempt import Attempt
from meshlib.transport import lazy_response
from tests.fast_clients import ATTEMPT, FAMILIES, Answer, Family

families = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def answered(family: Family, **answer: Any) -> Any:
    """A response as a client hands it out."""
    return family.ours([Answer(**answer)], base_url="http://orders").get("/x")


@families
def test_common_reads_fill_nothing(family: Family) -> None:
    """Status, body and the check of the status."""
    response = answered(family, content=b'{"id":42}', headers=[(b"Content-Type", b"application/json")])
    assert isinstance(response, family.module.Response)
    assert (response.status_code, response.content, response.json()) == (200, b'{"id":42}', {"id": 42})
    assert response.raise_for_status() is response
    assert response.is_success
    assert vars(response).keys() == {"status_code", "_request", "_content"}
    assert response.text == '{"id":42}'
    assert "headers" not in vars(response)


@families
def test_unread(family: Family) -> None:
    """As it comes from the wire: nothing is read, and reading it is the family's business."""
    response = Answer(content=b"abc").lazy(family, None)
    assert (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded) == (
        False,
        False,
        0,
    )
    assert response.default_encoding == "utf-8"
    assert isinstance(response.stream, family.module.ByteStream)
    with pytest.raises(family.module.ResponseNotRead):
        _ = response.content
    with pytest.raises(RuntimeError, match="elapsed"):
        _ = response.elapsed
    assert response.read() == response.content == b"abc"
    assert (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded) == (True, True, 3)
    with pytest.raises(RuntimeError, match="request"):
        response.raise_for_status()


@families
def test_seen_before_its_end(family: Family) -> None:
    """A response that somebody looked at, or whose stream was replaced, is not ended over their head."""
    for look in ("is_closed", "is_stream_consumed", "num_bytes_downloaded", "default_encoding", "stream"):
        response = Answer(content=b"abc").lazy(family, None)
        assert response._ending is None
        getattr(response, look)
        assert response._ending is not None
    response = Answer(content=b"abc").lazy(family, None)
    response.stream = family.module.ByteStream(b"other")
    assert response._ending is not None
    assert response.read() == b"other"


@families
def test_ended(family: Family) -> None:
    """As after the family's client has read it."""
    response = answered(family, content=b"abc", reason=b"Fine", version=b"HTTP/1.0")
    assert (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded) == (True, True, 3)
    assert isinstance(response.elapsed, timedelta)
    assert (response.http_version, response.reason_phrase) == ("HTTP/1.0", "Fine")
    assert (response.history, response.next_request) == ([], None)
    with pytest.raises(family.module.StreamConsumed):
        next(response.iter_raw())
    response.close()
    response.elapsed = timedelta(seconds=3)
    assert pickle.loads(pickle.dumps(response)).elapsed == timedelta(seconds=3)


@families
def test_put_in_the_place_of_its_stream_after_the_end(family: Family) -> None:
    """Changes nothing else."""
    response = answered(family, content=b"abc")
    response.stream = family.module.ByteStream(b"other")
    assert (response.is_closed, response.content) == (True, b"abc")


@families
def test_extensions(family: Family) -> None:
    """The head's, the connection when the wire names it, and the history."""
    assert answered(family).extensions.keys() == {"http_version", "reason_phrase", "meshlib"}
    connection = object()
    response = family.lazy.Response.made(ATTEMPT, 200, b"", [], b"", None, b"HTTP/1.1", connection)
    assert response.extensions["network_stream"] is connection


@families
def test_charsets_are_kept(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded number of them, and none of headers that may have been changed."""
    monkeypatch.setattr(lazy_response, "_CHARSETS_KEPT", 2)
    kept: dict[bytes, str | None] = {}
    monkeypatch.setattr(lazy_response, "_CHARSETS", kept)
    for number in range(3):
        kind = b"text/plain; charset=latin-%d" % number
        for _ in range(2):
            assert answered(family, headers=[(b"content-type", kind)]).charset_encoding == f"latin-{number}"
    assert len(kept) == 1
    response = answered(family, content=b"\xfc", headers=[(b"Content-Type", b"text/plain")])
    response.headers["content-type"] = "text/plain; charset=latin-1"
    assert response.text == "ü"
    assert answered(family, content=b"\xfc").text == "\N{REPLACEMENT CHARACTER}"


@families
def test_raise_for_status_tells_the_attempts(family: Family, begun: Callable[..., Attempt]) -> None:
    """When there were several, as in every response of ours."""
    first, second = begun(), begun()
    for attempt in (first, second):
        outcome = Outcome(Kind.FAILURE, "503", "answered 503", delivered="yes")
        attempt.call.finish(attempt, outcome, 100.012)
    second.previous = first
    request = family.module.Request("GET", "http://orders/x")
    response = family.lazy.Response.made(second, 503, b"Busy", [], b"", request)
    with pytest.raises(
        family.module.HTTPStatusError, match=r"After 2 attempts: .*; .*answered 503 in 12 ms"
    ) as told:
        response.raise_for_status()
    assert told.value.response is response
    assert response.extensions["meshlib"]["node"] == "10.0.0.1:8080"


@families
def test_made_by_hand(family: Family) -> None:
    """With a wire's arguments, as every response of ours: nothing is lazy then."""
    response = family.lazy.Response(
        SimpleNamespace(), 201, [(b"a", b"1")], family.module.ByteStream(b"x"), {"http_version": b"HTTP/2"}
    )
    assert (response.headers["a"], response.http_version, response.read()) == ("1", "HTTP/2", b"x")
    assert (response.is_closed, response.num_bytes_downloaded) == (True, 1)
