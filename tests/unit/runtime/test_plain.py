"""The family of functions and of mesh.attempts()."""

import asyncio

import pytest

from meshlib.core.outcome import OK, Kind
from meshlib.errors import AttemptsExhaustedError, CircuitOpenError
from meshlib.runtime.plain import PlainRequest, family_of

FAMILY = family_of((ConnectionError,))


@pytest.mark.parametrize(
    ("error", "cause", "safe"),
    [
        (ConnectionRefusedError(), "unsent", True),
        (TimeoutError(), "timeout", None),
        (ConnectionResetError(), "reset", None),
        (CircuitOpenError("open"), "error", True),
    ],
)
def test_exceptions_become_outcomes(error, cause, safe):
    """A refused connect was provably not processed; anything else may have been."""
    outcome = FAMILY.classify_error(error, None)
    assert (outcome.kind, outcome.cause, outcome.retry_safe) == (Kind.FAILURE, cause, safe)


def test_a_refused_connect_is_found_behind_a_librarys_own_error():
    """Client libraries wrap what the socket said, by `from` or while handling it."""
    caused, met = OSError("by name"), OSError("by context")
    caused.__cause__ = ConnectionRefusedError()
    met.__context__ = ConnectionRefusedError()
    assert [FAMILY.classify_error(one, None).cause for one in (caused, met, OSError())] == [
        "unsent",
        "unsent",
        "reset",
    ]
    endless = OSError()
    endless.__context__ = OSError()
    endless.__context__.__context__ = endless
    assert FAMILY.classify_error(endless, None).cause == "reset"


def test_a_block_that_ends_succeeded():
    """No exception, no failure."""
    assert FAMILY.classify("anything") is OK


def test_classes_share_a_family():
    """Plans are kept by family, so equal classes must give the same one; a timeout always counts."""
    assert family_of((ConnectionError,)) is FAMILY
    assert FAMILY.transport_errors == (ConnectionError, TimeoutError)


def test_a_request_names_its_service():
    """`host:port` is a key of its own; the request is shown as the service."""
    request = PlainRequest("Cache:6379")
    assert (request.service, request.origin, repr(request)) == (
        "cache:6379",
        ("http", "cache", 6379),
        "cache:6379",
    )
    assert FAMILY.origin(request) == request.origin
    assert FAMILY.facts(request) == ("", "/", {})
    assert FAMILY.describe(request) == "a call to cache:6379"


def test_errors_are_the_users_own():
    """A single failed attempt raises what the block raised; several raise AttemptsExhaustedError."""
    error = ConnectionResetError()
    assert FAMILY.mapped(error, None) is error
    assert FAMILY.attach(error, None) is error
    assert isinstance(FAMILY.exhausted(error, "told"), AttemptsExhaustedError)
    FAMILY.discard(None)
    asyncio.run(FAMILY.adiscard(None))
