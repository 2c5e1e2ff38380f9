"""The error tree as users of httpx catch it: every class is meshlib's *and* httpx's."""

from __future__ import annotations

from typing import ClassVar

import httpx

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


class NoEndpointError(WithRequest, errors.NoEndpointError, httpx.ConnectError):
    """As meshlib.NoEndpointError; also httpx.ConnectError."""


class CircuitOpenError(WithRequest, errors.CircuitOpenError, httpx.TransportError):
    """As meshlib.CircuitOpenError; also httpx.TransportError."""


class LimitExceededError(WithRequest, errors.LimitExceededError, httpx.TransportError):
    """As meshlib.LimitExceededError; also httpx.TransportError."""


class RateLimitedError(WithRequest, errors.RateLimitedError, httpx.TransportError):
    """As meshlib.RateLimitedError; also httpx.TransportError."""


class DeadlineExceededError(WithRequest, errors.DeadlineExceededError, httpx.TimeoutException):
    """As meshlib.DeadlineExceededError; also httpx.TimeoutException."""


class AttemptsExhaustedError(WithRequest, Exhausted, httpx.TransportError):
    """As meshlib.AttemptsExhaustedError; also httpx.TransportError and the last error's own class."""

    any_error: ClassVar[type[BaseException]] = httpx.TransportError
