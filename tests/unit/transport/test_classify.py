"""HTTP results as outcomes: the table of the design."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.core.outcome import Kind
from meshlib.engine.attempt import Attempt
from meshlib.transport.classify import ErrorClassifier, classify_response, retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("status", "headers", "kind", "cause"),
    [
        (200, {}, Kind.SUCCESS, "ok"),
        (302, {}, Kind.SUCCESS, "ok"),
        (404, {}, Kind.SUCCESS, "ok"),
        (408, {}, Kind.SUCCESS, "ok"),
        (429, {}, Kind.THROTTLED, "throttled"),
        (500, {}, Kind.FAILURE, "500"),
        (503, {}, Kind.FAILURE, "503"),
        (503, {"Retry-After": "nonsense"}, Kind.FAILURE, "503"),
        (503, {"Retry-After": "2"}, Kind.THROTTLED, "throttled"),
        (999, {}, Kind.FAILURE, "999"),
    ],
)
def test_responses(http: Any, status: int, headers: dict[str, str], kind: Kind, cause: str) -> None:
    """By status and Retry-After; an answer was delivered."""
    outcome = classify_response(
        SimpleNamespace(status_code=status, headers=http.Headers(headers)), lambda: NOW
    )
    assert (outcome.kind, outcome.cause, outcome.delivered) == (kind, cause, "yes")
    assert outcome.text == f"answered {status}"
    if not outcome.ok:
        assert outcome.retry_safe is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("99999999999", 3000.0),
        ("-1", None),
        ("1.5", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("yesterday", None),
        ("\u0661", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds or a date; odd ones are as good as none."""
    assert retry_after(value, lambda: NOW) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Errno 111] Connection refused", "refused the connection"),
        ("certificate verify failed", "failed the TLS handshake (certificate verify failed)"),
        ("the peer refused our certificate", "failed the TLS handshake (the peer refused our certificate)"),
        ("no route", "could not be connected (no route)"),
        ("", "could not be connected"),
    ],
)
def test_what_is_said_of_a_connection(
    begun: Callable[..., Attempt], http: Any, text: str, shown: str
) -> None:
    """A refused certificate is not a refused connection."""
    request = http.Request("GET", "http://orders/")
    error = http.ConnectError(text, request=request)
    assert ErrorClassifier(http)(error, begun(request)).text == shown


@pytest.mark.parametrize(
    ("name", "text", "sent", "expected"),
    [
        ("ConnectTimeout", "", False, ("unsent", True, "no")),
        ("ConnectError", "[Errno 111] Connection refused", False, ("unsent", True, "no")),
        ("ConnectError", "certificate verify failed", True, ("unsent", True, "no")),
        ("ReadError", "", False, ("unsent", True, "no")),
        ("", "", False, ("unsent", True, "no")),
        ("ReadError", "", True, ("reset", None, "maybe")),
        ("RemoteProtocolError", "x", True, ("reset", None, "maybe")),
        ("ReadTimeout", "", True, ("timeout", None, "maybe")),
        ("WriteTimeout", "", True, ("timeout", None, "maybe")),
        ("", "", True, ("timeout", None, "maybe")),
        ("PoolTimeout", "", False, ("pool", False, "no")),
        ("LocalProtocolError", "bad header", False, ("local", False, "no")),
        ("UnsupportedProtocol", "ftp", False, ("local", False, "no")),
    ],
)
def test_errors(
    begun: Callable[..., Attempt],
    http: Any,
    name: str,
    text: str,
    sent: bool,
    expected: tuple[str, bool | None, str],
) -> None:
    """What never left may be repeated; what may have been processed only if idempotent; our own mistakes never."""
    attempt = begun()
    attempt.sent = sent
    error = getattr(http, name)(text) if name else TimeoutError()
    outcome = ErrorClassifier(http)(error, attempt)
    assert (outcome.cause, outcome.retry_safe, outcome.delivered) == expected
    assert outcome.charged == (outcome.cause not in ("pool", "local"))
