"""The error tree as users of httpx2 catch it: every class is meshlib's *and* httpx2's."""

from __future__ import annotations

from typing import ClassVar

import httpx2

from meshlib import errors
from meshlib.transport.errors import Exhausted, WithRequest

__all__ = [
    "AttemptsExhaustedError",
    "CircuitOpenError",
    "DeadlineExceededError",
    "LimitExceededError",
    "NoEndpointError",
    "RateLimitedError",
]


class NoEndpointError(WithRequest, errors.NoEndpointError, httpx2.ConnectError):
    """As meshlib.NoEndpointError; also httpx2.ConnectError."""


class CircuitOpenError(WithRequest, errors.CircuitOpenError, httpx2.TransportError):
    """As meshlib.CircuitOpenError; also httpx2.TransportError."""


class LimitExceededError(WithRequest, errors.LimitExceededError, httpx2.TransportError):
    """As meshlib.LimitExceededError; also httpx2.TransportError."""


class RateLimitedError(WithRequest, errors.RateLimitedError, httpx2.TransportError):
    """As meshlib.RateLimitedError; also httpx2.TransportError."""


class DeadlineExceededError(WithRequest, errors.DeadlineExceededError, httpx2.TimeoutException):
    """As meshlib.DeadlineExceededError; also httpx2.TimeoutException."""


class AttemptsExhaustedError(WithRequest, Exhausted, httpx2.TransportError):
    """As meshlib.AttemptsExhaustedError; also httpx2.TransportError and the last error's own class."""

    any_error: ClassVar[type[BaseException]] = httpx2.TransportError
