"""LeanError: every failure by the name that the families know it by."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from meshlib.transport.http1 import BrokenResponse
from meshlib.transport.lean_errors import LeanError, connecting, reading, translation, writing


@pytest.mark.parametrize(
    ("make", "error", "kind", "text"),
    [
        (connecting, TimeoutError(), "ConnectTimeout", "timed out"),
        (
            connecting,
            TimeoutError("the name was not found in time"),
            "ConnectTimeout",
            "the name was not found in time",
        ),
        (connecting, ConnectionRefusedError(111, "Connection refused"), "ConnectError", "Connection refused"),
        (connecting, ssl.SSLError("certificate verify failed"), "ConnectError", "certificate verify failed"),
        (reading, TimeoutError("timed out"), "ReadTimeout", "timed out"),
        (reading, BrokenResponse("broke HTTP"), "RemoteProtocolError", "broke HTTP"),
        (reading, ConnectionResetError("reset"), "ReadError", "reset"),
        (writing, TimeoutError("timed out"), "WriteTimeout", "timed out"),
        (writing, BrokenResponse("broke HTTP"), "RemoteProtocolError", "broke HTTP"),
        (writing, BrokenPipeError("broken pipe"), "WriteError", "broken pipe"),
    ],
)
def test_what_went_wrong_by_name(make: Any, error: Exception, kind: str, text: str) -> None:
    """What happened, and while what."""
    made = make(error)
    assert made.kind == kind
    assert text in str(made)


@pytest.mark.parametrize(
    "kind",
    [
        "ConnectError",
        "ConnectTimeout",
        "LocalProtocolError",
        "PoolTimeout",
        "ReadError",
        "ReadTimeout",
        "RemoteProtocolError",
        "WriteError",
        "WriteTimeout",
    ],
)
def test_the_family_gets_its_own_error(http: Any, kind: str) -> None:
    """Of the class with that name, with text and request."""
    request = http.Request("GET", "http://orders/")
    made: Any = translation(http)(LeanError(kind, "the text"), request)
    assert type(made) is getattr(http, kind)
    assert (str(made), made.request) == ("the text", request)


def test_what_is_not_ours_stays_what_it_is(http: Any) -> None:
    """What a request body raises is the caller's own."""
    error = TimeoutError("of the caller")
    assert translation(http)(error, None) is error


def refusal(reason: str) -> ssl.SSLError:
    """As OpenSSL raises it."""
    error = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:2580)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    "reason", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_ACCESS_DENIED"]
)
def test_a_peer_that_refuses_our_certificate(reason: str) -> None:
    """In TLS 1.3 it says so with the first read: it has not looked at the request."""
    made = reading(refusal(reason), started=False)
    assert made.kind == "ConnectError"
    assert str(made).startswith("the peer refused our certificate: [SSL: ")
    assert reading(refusal(reason), started=True).kind == "ReadError"
    assert str(writing(refusal(reason))) == str(made)


@pytest.mark.parametrize(
    "reason", ["WRONG_VERSION_NUMBER", "SSLV3_ALERT_BAD_RECORD_MAC", "CERTIFICATE_VERIFY_FAILED", ""]
)
def test_other_failures_of_tls_are_the_readings(reason: str) -> None:
    """Nothing says that the request was not looked at."""
    assert reading(refusal(reason), started=False).kind == "ReadError"
