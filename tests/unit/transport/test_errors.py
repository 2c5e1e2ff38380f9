"""Errors of two families at once."""

from __future__ import annotations

import copy
import pickle

import httpx
import pytest

from meshlib import errors as ours
from meshlib.transport import errors


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("NoEndpointError", httpx.ConnectError),
        ("CircuitOpenError", httpx.TransportError),
        ("LimitExceededError", httpx.TransportError),
        ("RateLimitedError", httpx.TransportError),
        ("DeadlineExceededError", httpx.TimeoutException),
        ("AttemptsExhaustedError", httpx.TransportError),
    ],
)
def test_each_is_both(kind: str, theirs: type[Exception]) -> None:
    """Caught as httpx's and as meshlib's, with a request once one is attached."""
    error = getattr(errors, kind)("a sentence", target="orders", retry_after=2.0)
    assert isinstance(error, getattr(ours, kind))
    assert isinstance(error, theirs)
    assert isinstance(error, httpx.HTTPError)
    assert str(error) == "a sentence"
    with pytest.raises(RuntimeError, match="request"):
        error.request  # noqa: B018
    error._request = httpx.Request("GET", "http://orders/")
    assert error.request.method == "GET"
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.target, twin.retry_after) == ("a sentence", "orders", 2.0)


def test_exhausted_is_of_the_last_class_too() -> None:
    """So `except httpx.ReadTimeout` goes on working; the class is made once and pickles."""
    facts = ours.AttemptFacts(1, "10.0.0.1:80", "timeout", "timed out", 0.25)
    error = errors.exhausted(httpx.ReadTimeout, "after 1", attempts=(facts,))
    assert isinstance(error, httpx.ReadTimeout)
    assert isinstance(error, ours.AttemptsExhaustedError)
    assert type(errors.exhausted(httpx.ReadTimeout, "again")) is type(error)
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert twin.attempts == (facts,)


@pytest.mark.parametrize("last", [None, ValueError, httpx.TransportError])
def test_exhausted_without_a_class_of_its_own(last: type[BaseException] | None) -> None:
    """Anything that is no particular transport error."""
    assert type(errors.exhausted(last, "x")) is errors.AttemptsExhaustedError
