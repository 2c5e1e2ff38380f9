"""Tools that watch one client family and miss the other, or hooks of theirs that nobody calls: said once, as a RuntimeWarning.

A tracer or mock that was told of httpx only sees nothing of httpx2, and neither plain httpx2 nor meshlib can change that; what
helps is a setting of the tool's, which the warning names. Looked for when a client first calls a service, not at every call.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from typing import Any

from meshlib.transport.patched import original

__all__ = ["told", "warn_of_blind_tools", "warn_of_silent_hooks"]

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}
_MOCKED = (
    "give the client transport=httpx2.MockTransport(...), or use the httpx2_mock fixture of pytest-httpx2"
)
_HELP: dict[tuple[str, str], tuple[str, str]] = {
    ("respx", "httpx2"): ("respx", _MOCKED),
    ("pytest_httpx", "httpx2"): ("pytest-httpx", _MOCKED),
    ("sentry_sdk", "httpx2"): (
        "Sentry",
        "add sentry_sdk.integrations.httpx2.Httpx2Integration() to integrations",
    ),
    ("sentry_sdk", "httpx"): (
        "Sentry",
        "add sentry_sdk.integrations.httpx.HttpxIntegration() to integrations",
    ),
    ("ddtrace", "httpx2"): (
        "Datadog",
        "call ddtrace.patch(httpx2=True), or set DD_TRACE_HTTPX2_ENABLED=true",
    ),
    ("ddtrace", "httpx"): ("Datadog", "call ddtrace.patch(httpx=True), or set DD_TRACE_HTTPX_ENABLED=true"),
    ("opentelemetry", "httpx2"): (
        "opentelemetry-instrumentation-httpx",
        "call HTTPX2ClientInstrumentor().instrument()",
    ),
    ("opentelemetry", "httpx"): (
        "opentelemetry-instrumentation-httpx",
        "call HTTPXClientInstrumentor().instrument()",
    ),
}
_HOOKS = ("request_hook", "response_hook", "async_request_hook", "async_response_hook")

told: set[str] = set()
"""What was said in this process."""


def warn_of_blind_tools(family: str) -> None:
    """For a client of `family`: warn of each tool that has hooked into the other family and not into this one."""
    other = "httpx" if family == "httpx2" else "httpx2"
    if other not in sys.modules:
        return
    for tool in _tools(other) - _tools(family):
        name, setting = _HELP.get((tool, family), ("", ""))
        if name:
            _say(f"{name} watches {other} and does not see this process's calls through {family}: {setting}")


def warn_of_silent_hooks(function: object) -> None:
    """For an attempt that meshlib traces, with `function` in the place of the family's transport: the instrumentation of
    OpenTelemetry then leaves the span to meshlib, and does not call the hooks that it was given."""
    wrapper = getattr(function, "_self_wrapper", None)
    given = wrapper.keywords if isinstance(wrapper, partial) else {}
    if _tool(function) == "opentelemetry" and any(given.get(hook) is not None for hook in _HOOKS):
        _say(
            "opentelemetry-instrumentation-httpx keeps silent in attempts that meshlib traces, so its request and response "
            "hooks are not called there: use Mesh(telemetry=False) to have its spans and hooks instead of meshlib's"
        )


def _say(text: str) -> None:
    if text not in told:
        told.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def _tools(family: str) -> set[str]:
    """The packages whose functions stand in the family's classes, or in those of its httpcore."""
    found: set[str] = set()
    for module, classes, methods in (
        (family, ("Client", "AsyncClient"), ("send", "_send_single_request", "_transport_for_url")),
        (family, ("HTTPTransport", "AsyncHTTPTransport"), ("handle_request", "handle_async_request")),
        (
            _CORES[family],
            ("ConnectionPool", "AsyncConnectionPool"),
            ("handle_request", "handle_async_request"),
        ),
    ):
        for name in classes:
            namespace: Any = getattr(getattr(sys.modules.get(module), name, None), "__dict__", {})
            standing = [namespace[method] for method in methods if method in namespace]
            found.update(_tool(function) for function in standing if not original(function))
    return found


def _tool(function: object) -> str:
    """The top-level package of whoever wrote it."""
    wrapper: Any = getattr(function, "_self_wrapper", function)  # wrapt's
    while isinstance(wrapper, partial):
        wrapper = wrapper.func
    wrapper = getattr(wrapper, "__func__", wrapper)
    # Not __module__, which functools.wraps copies from what it wraps.
    return str(getattr(wrapper, "__globals__", {}).get("__name__", "")).partition(".")[0]
