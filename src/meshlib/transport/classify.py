"""HTTP results as outcomes, decided once. The one table of what counts as what."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from meshlib.core.outcome import Kind, Outcome
from meshlib.engine.attempt import Attempt

__all__ = ["IDEMPOTENT_METHODS", "ErrorClassifier", "classify_response", "retry_after"]

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2."""

_OK = [
    Outcome(Kind.SUCCESS, "ok", f"answered {status}", retry_safe=False, delivered="yes", status=status)
    for status in range(600)
]
_FAILED = [
    Outcome(Kind.FAILURE, str(status), f"answered {status}", delivered="yes", status=status)
    for status in range(600)
]
_PUSHBACK_LIMIT = 300.0


def classify_response(reply: Any, wall: Callable[[], float]) -> Outcome:
    """A response's outcome, by its status and, where that matters, Retry-After.

    Below 500 but 429 is success; 429, and 503 with Retry-After, is throttled; the rest failed.
    """
    status: int = reply.status_code
    if status < 500 and status != 429:
        return _OK[status] if status >= 0 else _OK[0]
    if status == 429 or status == 503:
        pushback = retry_after(reply.headers.get("retry-after"), wall)
        if status == 429 or pushback is not None:
            text = f"answered {status}"
            return Outcome(
                Kind.THROTTLED, "throttled", text, pushback=pushback, delivered="yes", status=status
            )
    if status < 600:
        return _FAILED[status]
    return Outcome(Kind.FAILURE, str(status), f"answered {status}", delivered="yes", status=status)


def retry_after(value: str | None, wall: Callable[[], float]) -> float | None:
    """Retry-After in seconds (RFC 9110 10.2.3: a number or a date; a date in the past is 0), None when absent or odd."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _PUSHBACK_LIMIT * 10)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall())
    except (ValueError, TypeError, OverflowError):
        return None


class ErrorClassifier:
    """Errors of one family's `module` as outcomes. What provably never left this process may be repeated whatever the
    method."""

    __slots__ = ("_connect", "_connect_late", "_late", "_local", "_pool", "_protocol")

    def __init__(self, module: Any) -> None:
        self._connect: type[BaseException] = module.ConnectError
        self._connect_late: type[BaseException] = module.ConnectTimeout
        self._pool: type[BaseException] = module.PoolTimeout
        self._protocol: type[BaseException] = module.RemoteProtocolError
        self._local: tuple[type[BaseException], ...] = (
            module.LocalProtocolError,
            module.UnsupportedProtocol,
            module.ProxyError,
        )
        self._late: tuple[type[BaseException], ...] = (module.TimeoutException, TimeoutError)

    def __call__(self, error: BaseException, attempt: Attempt) -> Outcome:
        """The outcome of an attempt that ended with `error`."""
        if isinstance(error, self._connect_late):
            return _unsent("connect timed out")
        if isinstance(error, self._connect):
            return _unsent(_connect_text(error))
        if isinstance(error, self._pool):
            return Outcome(Kind.IGNORED, "pool", "had no free connection", retry_safe=False, delivered="no")
        if isinstance(error, self._local):
            return Outcome(Kind.IGNORED, "local", f"was not asked: {error}", retry_safe=False, delivered="no")
        late = isinstance(error, self._late)
        if not attempt.sent:
            return _unsent("timed out before the request was sent" if late else "closed the connection")
        if late:
            return Outcome(Kind.FAILURE, "timeout", "timed out")
        if isinstance(error, self._protocol):
            return Outcome(Kind.FAILURE, "reset", f"broke the protocol ({error})")
        return Outcome(Kind.FAILURE, "reset", "reset the connection")


def _unsent(text: str) -> Outcome:
    return Outcome(Kind.FAILURE, "unsent", text, retry_safe=True, delivered="no")


def _connect_text(error: BaseException) -> str:
    text = str(error)
    lowered = text.lower()
    if "certificate" in lowered or "ssl" in lowered or "tls" in lowered:
        return f"failed the TLS handshake ({text})"  # that the peer may have "refused" too
    if "refused" in lowered:
        return "refused the connection"
    return f"could not be connected ({text})" if text else "could not be connected"
