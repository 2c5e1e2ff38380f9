"""Answers that are more than to be handed out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fast_clients import FAMILIES, Answer, Family, Transport

pytestmark = pytest.mark.parametrize("family", FAMILIES, ids=repr)

MOVED = Answer(302, b"moved", [(b"Location", b"/elsewhere"), (b"Set-Cookie", b"id=1; Path=/")], b"Found")


def test_redirects(family: Family) -> None:
    """Followed by the family's rules, with its cookies, its history and the time of each hop."""
    client = family.ours([MOVED, Answer(content=b"here")], base_url="http://orders", follow_redirects=True)
    response = client.post("/v1", json={"a": 1})
    assert (response.status_code, response.content, [one.status_code for one in response.history]) == (
        200,
        b"here",
        [302],
    )
    assert [(one.method, str(one.url)) for one in client.sent] == [
        ("POST", "http://orders/v1"),
        ("GET", "http://orders/elsewhere"),
    ]
    assert client.sent[1].headers["cookie"] == "id=1"
    assert response.history[0].content == b"moved"
    assert response.history[0].elapsed.total_seconds() > 0.0


def test_redirects_that_are_not_followed(family: Family) -> None:
    """Carry the request that would."""
    client = family.ours([MOVED], base_url="http://orders")
    response = client.get("/v1")
    assert (response.status_code, response.content, response.is_closed) == (302, b"moved", True)
    assert str(response.next_request.url) == "http://orders/elsewhere"
    assert client.get("/v1", follow_redirects=False).history == []
    client.max_redirects = 2
    with pytest.raises(family.module.TooManyRedirects):
        client.get("/v1", follow_redirects=True)
    assert len(client.sent) == 5


def test_a_transport_of_somebody_else(family: Family) -> None:
    """Its answers are read and closed by the family, and timed from when the request was sent."""
    client = family.ours([Answer()], base_url="http://orders")
    client._transport = family.module.MockTransport(
        lambda request: family.module.Response(200, content=iter([b"a", b"b"]))
    )
    response = client.get("/v1")
    assert (response.content, response.is_closed) == (b"ab", True)
    assert response.elapsed.total_seconds() > 0.0
    assert str(response.request.url) == "http://orders/v1"


def broken(family: Family, closed: list[bool]) -> Any:
    """A response whose body ends in an error."""

    class Stream(family.module.SyncByteStream, family.module.AsyncByteStream):  # type: ignore[name-defined, misc]
        def __iter__(self) -> Any:
            yield b"a"
            raise family.module.ReadError("cut")

        async def __aiter__(self) -> Any:
            yield b"a"
            raise family.module.ReadError("cut")

        def close(self) -> None:
            closed.append(True)

        async def aclose(self) -> None:
            closed.append(True)

    return family.module.Response(200, stream=Stream())


def test_a_body_that_breaks(family: Family) -> None:
    """Is closed, and its error has the request."""
    closed: list[bool] = []
    client = family.ours([Answer()], base_url="http://orders")
    client._transport = Transport(lambda request: broken(family, closed))
    with pytest.raises(family.module.ReadError, match="cut") as error:
        client.get("/v1")
    assert (closed, error.value.request.url.path) == ([True], "/v1")


def test_the_same_for_asyncio(family: Family) -> None:
    """Redirects and broken bodies."""

    async def run() -> None:
        answers = [MOVED, Answer(content=b"here")]
        client = family.ours(answers, True, base_url="http://orders", follow_redirects=True)
        response = await client.get("/v1")
        assert (response.content, [one.content for one in response.history]) == (b"here", [b"moved"])
        assert response.history[0].elapsed.total_seconds() > 0.0
        assert len(client.sent) == 2
        closed: list[bool] = []
        client._transport = Transport(lambda request: broken(family, closed))
        with pytest.raises(family.module.ReadError, match="cut"):
            await client.get("/v1")
        assert closed == [True]

    asyncio.run(run())
