"""Errors of two families at once."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from meshlib import errors as ours
from meshlib.transport.binding import Binding


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("NoEndpointError", "ConnectError"),
        ("CircuitOpenError", "TransportError"),
        ("LimitExceededError", "TransportError"),
        ("RateLimitedError", "TransportError"),
        ("DeadlineExceededError", "TimeoutException"),
        ("AttemptsExhaustedError", "TransportError"),
    ],
)
def test_each_is_both(binding: Binding, kind: str, theirs: str) -> None:
    """Caught as the family's and as meshlib's, with a request once one is attached."""
    error = getattr(binding.errors, kind)("a sentence", target="orders", retry_after=2.0)
    assert isinstance(error, getattr(ours, kind))
    assert isinstance(error, getattr(binding.module, theirs))
    assert isinstance(error, binding.module.HTTPError)
    assert str(error) == "a sentence"
    with pytest.raises(RuntimeError, match="request"):
        error.request  # noqa: B018
    error._request = binding.Request("GET", "http://orders/")
    assert error.request.method == "GET"
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.target, twin.retry_after) == ("a sentence", "orders", 2.0)


def test_exhausted_is_of_the_last_class_too(http: Any, binding: Binding) -> None:
    """So `except httpx.ReadTimeout` goes on working; the class is made once and pickles."""
    exhausted = binding.errors.AttemptsExhaustedError
    facts = ours.AttemptFacts(1, "10.0.0.1:80", "timeout", "timed out", 0.25)
    error = exhausted.like(http.ReadTimeout, "after 1", attempts=(facts,))
    assert isinstance(error, http.ReadTimeout)
    assert isinstance(error, exhausted)
    assert isinstance(error, ours.AttemptsExhaustedError)
    assert type(exhausted.like(http.ReadTimeout, "again")) is type(error)
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert twin.attempts == (facts,)


@pytest.mark.parametrize("last", ["ValueError", "TransportError"])
def test_exhausted_without_a_class_of_its_own(http: Any, binding: Binding, last: str) -> None:
    """Anything that is no particular transport error; that one pickles as well."""
    exhausted = binding.errors.AttemptsExhaustedError
    error = exhausted.like(getattr(http, last, ValueError), "x", target="orders")
    assert type(error) is exhausted
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin), twin.target) == (exhausted, "x", "orders")


def test_the_families_errors_are_apart() -> None:
    """Only what is meshlib's they have in common."""
    pytest.importorskip("httpx2")
    from meshlib.transport import errors_httpx, errors_httpx2

    for name in errors_httpx.__all__:
        one, other = getattr(errors_httpx, name), getattr(errors_httpx2, name)
        assert not issubclass(one, other)
        assert not issubclass(other, one)
        assert issubclass(one, getattr(ours, name))
        assert issubclass(other, getattr(ours, name))
    assert errors_httpx.__all__ == errors_httpx2.__all__
