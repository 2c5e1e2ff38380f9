"""respx replaces `handle_request` of httpcore's pools, or with `using="httpx"` what chooses a transport in the clients.

It mocks attempts in the first case and logical calls in the second, by the service's name in both. It knows httpx only.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest

from tests.integration.tools_kit import ATTEMPTS, CALLS, ROUNDS, WIRES, Exchange, alone, clients, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NOBODY = "static://127.0.0.1:9"


def mocked(using: str) -> Any:
    """Answers without a server: a 503 first, then 201."""
    import httpx
    import respx

    made, found = clients("httpx"), []
    with respx.mock(using=using, assert_all_mocked=True) as router:
        route = router.get("http://orders/v1/42")
        route.side_effect = [httpx.Response(503), httpx.Response(201, json={"id": 42})] * ROUNDS
        for wire in WIRES:
            options = {"discovery": NOBODY, "policy": {"wire": wire}}
            with made.Client("http://orders", **options) as client:
                found.append(client.get("/v1/42").status_code)
            found.append(asyncio.run(_mocked(made, options)))
        return {"statuses": found, "calls": [str(call.request.url) for call in route.calls]}


async def _mocked(made: Any, options: dict[str, Any]) -> Any:
    async with made.AsyncClient("http://orders", **options) as client:
        return (await client.get("/v1/42")).status_code


def passed_through(using: str) -> Any:
    """respx looks on while a real server answers; plain httpx beside it for comparison."""
    import httpx
    import respx

    from meshlib.testing import FaultServer

    with respx.mock(using=using, assert_all_mocked=True) as router:
        router.route(host="127.0.0.1").pass_through()
        with FaultServer() as server, httpx.Client() as plain:
            plain.get(server.url)
        as_httpx = router.calls.call_count
        router.route(host="orders").pass_through()
        exchange = Exchange("httpx").run()
        return {
            "statuses": exchange.statuses,
            "requests": len(exchange.requests),
            "seen": (router.calls.call_count - as_httpx) / as_httpx,
            "hosts": sorted({call.request.url.host for call in list(router.calls)[as_httpx:]}),
        }


def before_and_after() -> Any:
    """One client on the lean wire before, under and after a mock; how often the server was asked each time."""
    import respx

    from meshlib.testing import FaultServer

    with (
        FaultServer() as server,
        clients("httpx").Client("http://orders", discovery=f"static://{server.address}") as client,
    ):
        seen = []
        client.get("/")
        seen.append(len(server.requests))
        with respx.mock() as router:
            router.get("http://orders/").respond(201)
            seen.append(client.get("/").status_code)
            seen.append(len(server.requests))
        client.get("/")
        seen.append(len(server.requests))
        return seen


def on_httpx2() -> Any:
    """A mock that the other family does not meet."""
    import respx

    with respx.mock(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exchange = Exchange("httpx2").run()
    return {"requests": len(exchange.requests), "warnings": [str(one.message) for one in caught]}


def test_attempts_are_mocked() -> None:
    """By default the mock stands below the mesh: a mocked 503 is retried."""
    needs("respx")
    seen = alone(mocked, "httpcore")
    assert seen["statuses"] == [201] * ROUNDS
    assert seen["calls"] == ["http://orders/v1/42"] * 2 * ROUNDS


def test_calls_are_mocked() -> None:
    """With `using="httpx"` it stands above: the mocked 503 is the call's answer."""
    needs("respx")
    seen = alone(mocked, "httpx")
    assert seen["statuses"] == [503, 201] * (ROUNDS // 2)
    assert seen["calls"] == ["http://orders/v1/42"] * ROUNDS


@pytest.mark.parametrize(("using", "times"), [("httpcore", ATTEMPTS), ("httpx", CALLS)])
def test_what_passes_through_is_counted(using: str, times: int) -> None:
    """As often for an attempt (or a call) as respx counts a request of plain httpx."""
    needs("respx")
    seen = alone(passed_through, using)
    assert seen["statuses"] == [200] * ROUNDS * CALLS
    assert seen["requests"] == ROUNDS * ATTEMPTS
    assert seen["seen"] == ROUNDS * times
    assert seen["hosts"] == ["orders"]


def test_a_client_that_lives_longer_than_the_mock() -> None:
    """It meets the mock as soon as that is there, and the server again as soon as it is gone."""
    needs("respx")
    assert alone(before_and_after) == [1, 201, 1, 2]


def test_a_mock_that_is_blind_says_so() -> None:
    """httpx2 reaches the network under respx, with or without meshlib, which says so once."""
    needs("respx")
    seen = alone(on_httpx2)
    assert seen["requests"] == ROUNDS * ATTEMPTS
    [said] = seen["warnings"]
    assert "respx" in said
    assert "httpx2.MockTransport" in said
