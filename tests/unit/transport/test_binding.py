"""One client family as the engine's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from meshlib.engine.attempt import Attempt
from meshlib.transport.binding import Binding


def test_what_a_request_is_for(binding: Binding) -> None:
    """Origin and facts as the URL writes them; the description keeps secrets."""
    request = binding.Request("PUT", "https://u:p@Orders:8443/v1?token=x", headers={"X-A": "1"})
    assert binding.origin(request) == ("https", "orders", 8443)
    method, path, headers = binding.facts(request)
    assert (method, path, headers["x-a"]) == ("PUT", "/v1", "1")
    assert binding.describe(request) == "PUT https://orders:8443/v1"


def test_errors_get_their_request(http: Any, binding: Binding) -> None:
    """The family's own stay, an alarm becomes a ReadTimeout with the alarm as its cause."""
    request = binding.Request("GET", "http://orders/")
    own = http.WriteError("gone")
    assert binding.mapped(own, request) is own
    assert own.request is request
    alarm = TimeoutError("the attempt's time was up")
    late: Any = binding.mapped(alarm, request)
    assert type(late) is http.ReadTimeout
    assert (late.request, late.__cause__, str(late)) == (request, alarm, "the attempt's time was up")


def test_exhausted_is_of_the_last_error(http: Any, binding: Binding) -> None:
    """An alarm counts as a ReadTimeout, an error of nobody's as no class in particular."""
    assert isinstance(binding.exhausted(http.ConnectError("x"), "used up"), http.ConnectError)
    assert isinstance(binding.exhausted(TimeoutError(), "used up"), http.ReadTimeout)
    assert type(binding.exhausted(OSError(), "used up")) is binding.errors.AttemptsExhaustedError


def test_only_responses_are_discarded(binding: Binding) -> None:
    """What a retry replaces is closed; an error has nothing to close."""
    first, second = binding.Response(503, content=b"x"), binding.Response(503, content=b"x")
    binding.discard(first)
    asyncio.run(binding.adiscard(second))
    assert first.is_closed
    assert second.is_closed
    binding.discard(OSError())
    asyncio.run(binding.adiscard(OSError()))


def test_outcomes(begun: Callable[..., Attempt], http: Any, binding: Binding) -> None:
    """By the family's own classes."""
    assert binding.classify(binding.Response(429, headers={"Retry-After": "2"})).pushback == 2.0
    assert binding.classify_error(http.ConnectError("refused"), begun()).retry_safe is True


def test_pools_are_of_the_family(http: Any, binding: Binding) -> None:
    """httpcore below httpx, httpcore2 below httpx2, found once."""
    assert binding.pooling.family is http
    assert binding.pooling.module.__name__ == {"httpx": "httpcore", "httpx2": "httpcore2"}[binding.name]
    assert binding.pooling is binding.pooling
