"""The error tree as users of httpx catch it: every class is meshlib's *and* httpx's.

`except httpx.HTTPError`, `except httpx.TimeoutException` and `except meshlib.DeadlineExceededError` all work.
"""

from __future__ import annotations

from typing import Any

import httpx

from meshlib import errors

__all__ = [
    "AttemptsExhaustedError",
    "CircuitOpenError",
    "DeadlineExceededError",
    "LimitExceededError",
    "NoEndpointError",
    "RateLimitedError",
    "exhausted",
]


class _WithRequest:
    """httpx keeps the request of an error in `_request` and answers `.request` from it."""

    _request: httpx.Request | None = None


class NoEndpointError(_WithRequest, errors.NoEndpointError, httpx.ConnectError):
    """As meshlib.NoEndpointError; also httpx.ConnectError."""


class CircuitOpenError(_WithRequest, errors.CircuitOpenError, httpx.TransportError):
    """As meshlib.CircuitOpenError; also httpx.TransportError."""


class LimitExceededError(_WithRequest, errors.LimitExceededError, httpx.TransportError):
    """As meshlib.LimitExceededError; also httpx.TransportError."""


class RateLimitedError(_WithRequest, errors.RateLimitedError, httpx.TransportError):
    """As meshlib.RateLimitedError; also httpx.TransportError."""


class DeadlineExceededError(_WithRequest, errors.DeadlineExceededError, httpx.TimeoutException):
    """As meshlib.DeadlineExceededError; also httpx.TimeoutException."""


class AttemptsExhaustedError(_WithRequest, errors.AttemptsExhaustedError, httpx.TransportError):
    """As meshlib.AttemptsExhaustedError; also httpx.TransportError and the last error's own httpx class."""

    def __reduce__(self) -> tuple[Any, ...]:
        last = getattr(type(self), "last_class", None)
        return _rebuild, (last, self.message, self.facts())


_exhausted: dict[type[BaseException], type[AttemptsExhaustedError]] = {}


def _exhausted_class(last: type[httpx.TransportError]) -> type[AttemptsExhaustedError]:
    # `except httpx.ReadTimeout` around a call must go on working when the call was tried more than once.
    found = _exhausted.get(last)
    if found is None:
        namespace = {"last_class": last, "__doc__": AttemptsExhaustedError.__doc__, "__module__": __name__}
        found = _exhausted[last] = type("AttemptsExhaustedError", (AttemptsExhaustedError, last), namespace)
    return found


def exhausted(last: type[BaseException] | None, message: str, **facts: Any) -> AttemptsExhaustedError:
    """AttemptsExhaustedError that is also of the class `last`."""
    if last is None or not issubclass(last, httpx.TransportError) or last is httpx.TransportError:
        return AttemptsExhaustedError(message, **facts)
    return _exhausted_class(last)(message, **facts)


def _rebuild(last: type[BaseException] | None, message: str, facts: dict[str, Any]) -> AttemptsExhaustedError:
    return exhausted(last, message, **facts)
