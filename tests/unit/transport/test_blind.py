"""Tools that see one family and not the other."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

import httpx
import httpx2
import pytest
import wrapt

from meshlib.transport import blind
from meshlib.transport.blind import warn_of_blind_tools, warn_of_silent_hooks


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test hears everything for the first time."""
    monkeypatch.setattr(blind, "told", set())


def by(tool: str, function: Any = None) -> Any:
    """A function as that tool would have defined it, named like `function`."""
    made = FunctionType((lambda self, request: None).__code__, {"__name__": f"{tool}.patch"})
    return made if function is None else functools.wraps(function)(made)


CASES = [
    ("respx", "HTTPTransport", "handle_request", "respx", "httpx2.MockTransport"),
    ("pytest_httpx", "AsyncHTTPTransport", "handle_async_request", "pytest-httpx", "httpx2_mock"),
    ("sentry_sdk", "Client", "send", "Sentry", "Httpx2Integration"),
    ("ddtrace", "AsyncClient", "_send_single_request", "Datadog", "DD_TRACE_HTTPX2_ENABLED"),
    ("opentelemetry", "HTTPTransport", "handle_request", "opentelemetry", "HTTPX2ClientInstrumentor"),
]


@pytest.mark.parametrize(("tool", "cls", "method", "name", "setting"), CASES)
def test_a_tool_that_knows_httpx_only(
    tool: str, cls: str, method: str, name: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named once, with the setting that helps, to who uses httpx2; never to who uses httpx."""
    place = getattr(httpx, cls)
    monkeypatch.setattr(place, method, by(tool, getattr(place, method)))
    warn_of_blind_tools("httpx")
    with pytest.warns(RuntimeWarning) as caught:
        warn_of_blind_tools("httpx2")
    warn_of_blind_tools("httpx2")  # a second warning would be an error
    [said] = [str(one.message) for one in caught]
    assert name in said
    assert setting in said


def test_a_tool_that_knows_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to say, and nothing either of a tool that nobody has heard of."""
    monkeypatch.setattr(httpx.Client, "send", by("sentry_sdk"))
    monkeypatch.setattr(httpx2.Client, "send", by("sentry_sdk"))
    monkeypatch.setattr(httpx.Client, "_transport_for_url", by("homegrown"))
    warn_of_blind_tools("httpx")
    warn_of_blind_tools("httpx2")


def test_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumented httpx2, used httpx."""
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", by("opentelemetry"))
    with pytest.warns(RuntimeWarning, match=r"HTTPXClientInstrumentor\(\)"):
        warn_of_blind_tools("httpx")


def test_hooks_that_nobody_calls() -> None:
    """OpenTelemetry's own, when it was given hooks; once."""

    def wrapper(**given: Any) -> Any:
        return wrapt.FunctionWrapper(
            httpx.HTTPTransport.handle_request, functools.partial(by("opentelemetry"), **given)
        )

    warn_of_silent_hooks(httpx.HTTPTransport.handle_request)
    warn_of_silent_hooks(wrapper(request_hook=None, response_hook=None))
    with pytest.warns(RuntimeWarning, match=r"Mesh\(telemetry=False\)") as caught:
        warn_of_silent_hooks(wrapper(request_hook=print))
    warn_of_silent_hooks(wrapper(async_response_hook=print))
    assert len(caught) == 1
