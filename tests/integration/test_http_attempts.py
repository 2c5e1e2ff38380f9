"""Which attempts are repeated over HTTP, where, and what the caller gets in the end."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from meshlib import errors
from meshlib.testing import Fault, FaultServer, Services
from tests.integration.http_kit import EACH_WIRE, LONG, Kit, Side, in_flight, settled, uri

pytestmark = pytest.mark.integration

QUICK = {"breaker": False, "ejection": False, "retry": {"wait": {"base": 0.001, "cap": 0.002}}}


def quick(**more: Any) -> dict[str, Any]:
    """A policy with short pauses and nothing that remembers."""
    return {**QUICK, **more}


def total(services: Services) -> int:
    """Requests that arrived anywhere."""
    return sum(services.counts.values())


REPEATED = [
    Fault.ok(502),
    Fault.ok(503),
    Fault.ok(504),
    Fault.reset_before_head(),
    Fault.reset_mid_head(),
    Fault.reset_mid_body(),
    Fault.reset_mid_body(chunked=True),
    Fault.cut_body(),
    Fault.cut_body(chunked=True),
    Fault.half_close(),
    Fault.garbage(),
]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_idempotent_requests_are_repeated(kit: Kit, method: str) -> None:
    """After every failure that may pass, on another instance."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        for fault in REPEATED:
            if method == "HEAD" and fault.kind in ("reset_mid_body", "cut_body"):
                continue
            for server in services:
                server.behave()
            picked = services[0]
            picked.behave(default=fault)
            services[1].behave(default=Fault.ok())
            for _ in range(4):
                response = side.request(method, "/")
                assert response.status_code == 200, fault
                told = response.extensions["meshlib"]["attempts"]
                assert [facts.address for facts in told[:-1]] == [picked.address] * (len(told) - 1)
            picked.behave(default=Fault.ok())
        assert in_flight(side.runtime) == 0


def test_post_is_not_repeated(kit: Kit) -> None:
    """What may have been processed is the caller's to repeat; a status is an answer."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=quick()) as side:
        server.behave(Fault.ok(503))
        assert side.post("/", content=b"x").status_code == 503
        server.behave(Fault.reset_before_head())
        with pytest.raises(kit.http.ReadError):
            side.post("/", content=b"x")
        server.behave(Fault.reset_mid_body())
        with pytest.raises((kit.http.ReadError, kit.http.RemoteProtocolError)):
            side.post("/", content=b"x")
        assert len(server.requests) == 3


def test_idempotency_key_makes_a_post_repeatable(kit: Kit) -> None:
    """The header says that the server recognises it."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        services[0].behave(default=Fault.reset_before_head())
        services[1].behave(default=Fault.ok())
        for number in range(6):
            headers = {"Idempotency-Key": str(number)}
            assert side.post("/", content=b"x", headers=headers).status_code == 200
        assert {request.body for server in services for request in server.requests} == {b"x"}


def test_unsent_post_is_repeated(kit: Kit) -> None:
    """A refused connect has sent nothing, whatever the method."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        services[0].refuse()
        for _ in range(6):
            assert side.post("/", content=b"x").status_code == 200
        assert services.counts[services[1].address] == 6


def parts(kit: Kit) -> Any:
    """A body that can be sent once."""

    def plain() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    async def asynchronous() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return asynchronous() if kit.kind == "async" else plain()


def test_generator_bodies_are_sent_once(kit: Kit) -> None:
    """A PUT whose body is gone is not repeated, and its error says why."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=quick()) as side:
        server.behave(default=Fault.reset_before_head())
        with pytest.raises(kit.http.TransportError):
            side.request("PUT", "/", content=parts(kit))
        assert len(server.requests) == 1
        server.behave(default=Fault.ok())
        side.request("PUT", "/", content=parts(kit))
        assert server.requests[-1].body == b"onetwo"


def test_retries_never_return_to_the_node_that_failed(kit: Kit) -> None:
    """While another one exists."""
    with Services(3) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        for server in services:
            server.behave(default=Fault.ok(503))
        for _ in range(20):
            response = side.get("/")
            visited = [facts.address for facts in response.extensions["meshlib"]["attempts"]]
            assert len(visited) == 3
            assert len(set(visited)) == 3


@EACH_WIRE
def test_retry_after_is_honoured(kit: Kit) -> None:
    """The pause is at least what the server asks for; asked for longer than there is time, the answer stands."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=quick()) as side:
        # Whole seconds, as the header has it.
        server.behave(Fault.retry_after(1))
        started = time.monotonic()
        assert side.get("/").status_code == 200
        assert time.monotonic() - started >= 1.0
        server.behave(Fault.retry_after(60), Fault.ok())
        started = time.monotonic()
        response = side.get("/", timeout=5.0)
        assert (response.status_code, response.text) == (503, "later")
        assert time.monotonic() - started < 2.0


def test_used_up_with_a_response_returns_it(kit: Kit) -> None:
    """As httpx would, history in its extensions; `raise_for_status` tells it."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        for server in services:
            server.behave(default=Fault.ok(503, b"down"))
        response = side.get("/")
        assert (response.status_code, response.text) == (503, "down")
        assert [facts.cause for facts in response.extensions["meshlib"]["attempts"]] == ["503"] * 3
        with pytest.raises(kit.http.HTTPStatusError, match=r"After 3 attempts: .* answered 503 in \d+ ms"):
            response.raise_for_status()


def test_raise_on_exhausted(kit: Kit) -> None:
    """Policy may want an error in place of the last response."""
    policy = quick(raise_on_exhausted=True)
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=policy) as side:
        for server in services:
            server.behave(default=Fault.ok(503, b"down"))
        with pytest.raises(errors.AttemptsExhaustedError) as raised:
            side.get("/")
        assert isinstance(raised.value, kit.http.TransportError)
        assert raised.value.delivered == "yes"
        with pytest.raises(errors.AttemptsExhaustedError):
            side.open("GET", "/")
        assert in_flight(side.runtime) == 0
        settled(services, 2)


def failing(side: Side, services: Services, fault: Fault, **options: Any) -> BaseException:
    """What a GET raises when every instance answers with `fault`."""
    for server in services:
        server.behave(default=fault)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        side.get("/secret-path?token=abc", **options)
    return raised.value


def test_errors_are_both_families(kit: Kit) -> None:
    """httpx's class of the last failure and our own; facts as attributes; the request; no query in the text."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        error = failing(side, services, Fault.reset_before_head())
        assert isinstance(error, errors.AttemptsExhaustedError)
        assert isinstance(error, kit.http.ReadError)
        assert [facts.cause for facts in error.attempts] == ["reset"] * 3
        assert (error.target, error.retry_safe, error.delivered) == ("orders", False, "maybe")
        assert str(error.request.url) == "http://orders/secret-path?token=abc"
        assert "token" not in str(error)
        assert str(error).startswith("GET http://orders/secret-path failed after 3 attempts in ")
        twin = pickle.loads(pickle.dumps(error))
        assert type(twin) is type(error)
        assert isinstance(twin, kit.http.ReadError)
        assert (str(twin), twin.attempts) == (str(error), error.attempts)


def test_one_attempt_raises_httpx_own_error(kit: Kit) -> None:
    """Without retries nothing is wrapped, and the error has its request and pickles."""
    policy = quick(retry=False)
    with Services(1) as services, kit.side("orders", discovery=services.uri, policy=policy) as side:
        error = failing(side, services, Fault.reset_before_head())
        assert type(error) is kit.http.ReadError
        assert error.request.url.path == "/secret-path"
        assert type(pickle.loads(pickle.dumps(error))) is kit.http.ReadError
        services[0].refuse()
        with pytest.raises(kit.http.ConnectError) as raised:
            side.get("/")
        assert type(raised.value) is kit.http.ConnectError


def test_refusals_are_httpx_errors(kit: Kit) -> None:
    """An open breaker and a full limit raise errors that `except httpx.HTTPError` catches, too."""
    policy = quick(retry=False, breaker={"minimum_calls": 2, "failure_ratio": 0.5})
    with Services(1) as services, kit.side("orders", discovery=services.uri, policy=policy) as side:
        services[0].behave(default=Fault.ok(500))
        for _ in range(2):
            side.get("/")
        with pytest.raises(errors.CircuitOpenError) as raised:
            side.get("/")
        assert isinstance(raised.value, kit.http.TransportError)
        assert raised.value.request.method == "GET"
        assert (raised.value.retry_after or 0) > 0
        assert total(services) == 2
    limited = quick(limit={"concurrency": 1})
    with Services(1) as services, kit.side("orders", discovery=services.uri, policy=limited) as side:
        services[0].behave(Fault.ok(body=LONG))
        held = side.open("GET", "/")
        with pytest.raises(errors.LimitExceededError) as full:
            side.get("/")
        assert isinstance(full.value, kit.http.TransportError)
        side.shut(held)
        assert side.get("/").status_code == 200


def test_replaced_responses_are_closed_first(kit: Kit) -> None:
    """A streamed call whose first answer was a 503 holds one lease and one open response."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        for server in services:
            server.behave(default=Fault.ok(503, LONG))
        response = side.open("GET", "/")
        assert len(response.extensions["meshlib"]["attempts"]) == 3
        assert in_flight(side.runtime) == 1
        side.shut(response)
        assert in_flight(side.runtime) == 0
        del response
        gc.collect()


@pytest.mark.parametrize("fault", [Fault.reset_mid_body(), Fault.cut_body(), Fault.cut_body(chunked=True)])
def test_streamed_body_failures_are_reported_not_repeated(kit: Kit, fault: Fault) -> None:
    """The caller has the head already; node and detector hear of it."""
    with Services(1) as services, kit.side("orders", discovery=services.uri, policy=quick()) as side:
        services[0].behave(default=fault)
        response = side.open("GET", "/")
        assert response.status_code == 200
        with pytest.raises((kit.http.ReadError, kit.http.RemoteProtocolError)):
            side.read(response)
        assert in_flight(side.runtime) == 0
        assert total(services) == 1
        (node,) = side.runtime.services["orders"].clusters[""].nodes.values()
        assert (node.calls, node.failures) == (1, 1)
        side.shut(response)
        assert in_flight(side.runtime) == 0
