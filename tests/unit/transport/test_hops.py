"""Authentication flows whose requests are hops of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from meshlib.transport.binding import Binding
from meshlib.transport.hops import shared
from meshlib.transport.options import EXTENSION, POLICYS, CallOptions


def flow_of(http: Any) -> Any:
    """A request of its own, then the given one; notes in `log` how it ended."""

    class Flow(http.Auth):  # type: ignore[misc]
        def __init__(self) -> None:
            self.log: list[str] = []

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            try:
                response = yield http.Request("POST", "http://login/")
                self.log.append(f"got {response.status_code}")
                yield request
                self.log.append("done")
            finally:
                self.log.append("closed")

    return Flow()


def test_every_hop_is_marked(http: Any, binding: Binding) -> None:
    """Also the requests that the flow makes; responses go in, and the flow is closed."""
    options, inner = CallOptions(False, 5.0, POLICYS), flow_of(http)
    request = http.Request("GET", "http://orders/")
    flow = shared(binding, inner, options).sync_auth_flow(request)
    first = next(flow)
    assert (first.method, first.extensions[EXTENSION]) == ("POST", options)
    second = flow.send(http.Response(201))
    assert second is request
    assert second.extensions[EXTENSION] is options
    with pytest.raises(StopIteration):
        flow.send(http.Response(200))
    assert inner.log == ["got 201", "done", "closed"]


def test_asynchronously_too(http: Any, binding: Binding) -> None:
    """The same order."""
    options, inner = CallOptions(False, 5.0, POLICYS), flow_of(http)

    async def run() -> list[str]:
        flow = binding.shared_auth(inner, options).async_auth_flow(http.Request("GET", "http://orders/"))
        seen = [(await anext(flow)).method, (await flow.asend(http.Response(201))).method]
        with pytest.raises(StopAsyncIteration):
            await flow.asend(http.Response(200))
        return seen

    assert asyncio.run(run()) == ["POST", "GET"]
    assert inner.log == ["got 201", "done", "closed"]


def test_closing_closes_the_flow(http: Any, binding: Binding) -> None:
    """A client closes flows that it does not finish."""
    inner = flow_of(http)
    flow = binding.shared_auth(inner, CallOptions(False, 5.0, POLICYS)).sync_auth_flow(
        http.Request("GET", "http://o/")
    )
    next(flow)
    flow.close()
    assert inner.log == ["closed"]


def test_flows_of_one_request_stay_as_they_are(http: Any, binding: Binding) -> None:
    """Nothing to mark, nothing to pay."""
    options = CallOptions(False, 5.0, POLICYS)
    for auth in (None, ("u", "p"), http.BasicAuth("u", "p"), print):
        assert shared(binding, auth, options) is auth
