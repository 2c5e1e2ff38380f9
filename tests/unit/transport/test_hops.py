"""Authentication flows whose requests are hops of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import httpx
import pytest

from meshlib.transport.hops import SharedAuth, shared
from meshlib.transport.options import EXTENSION, POLICYS, CallOptions


class Flow(httpx.Auth):
    """A request of its own, then the given one; notes how it ended."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Two hops."""
        try:
            response = yield httpx.Request("POST", "http://login/")
            self.log.append(f"got {response.status_code}")
            yield request
            self.log.append("done")
        finally:
            self.log.append("closed")


def test_every_hop_is_marked() -> None:
    """Also the requests that the flow makes; responses go in, and the flow is closed."""
    options, inner = CallOptions(False, 5.0, POLICYS), Flow()
    request = httpx.Request("GET", "http://orders/")
    flow = shared(inner, options).sync_auth_flow(request)
    first = next(flow)
    assert (first.method, first.extensions[EXTENSION]) == ("POST", options)
    second = flow.send(httpx.Response(201))
    assert second is request
    assert second.extensions[EXTENSION] is options
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(200))
    assert inner.log == ["got 201", "done", "closed"]


def test_asynchronously_too() -> None:
    """The same order."""
    options, inner = CallOptions(False, 5.0, POLICYS), Flow()

    async def run() -> list[str]:
        flow = SharedAuth(inner, options).async_auth_flow(httpx.Request("GET", "http://orders/"))
        seen = [(await anext(flow)).method, (await flow.asend(httpx.Response(201))).method]
        with pytest.raises(StopAsyncIteration):
            await flow.asend(httpx.Response(200))
        return seen

    assert asyncio.run(run()) == ["POST", "GET"]
    assert inner.log == ["got 201", "done", "closed"]


def test_closing_closes_the_flow() -> None:
    """httpx closes flows that it does not finish."""
    inner = Flow()
    flow = SharedAuth(inner, CallOptions(False, 5.0, POLICYS)).sync_auth_flow(
        httpx.Request("GET", "http://o/")
    )
    next(flow)
    flow.close()
    assert inner.log == ["closed"]


def test_flows_of_one_request_stay_as_they_are() -> None:
    """Nothing to mark, nothing to pay."""
    options = CallOptions(False, 5.0, POLICYS)
    for auth in (None, ("u", "p"), httpx.BasicAuth("u", "p"), print):
        assert shared(auth, options) is auth
