"""Outcome: a result classified once, at the transport's edge, and read by everybody else.

Retry, breaker, detector, budget, balancer and telemetry never look at a response or an exception; they read this.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

__all__ = ["CANCELLED", "OK", "Cause", "Delivered", "Kind", "Outcome"]

Delivered = Literal["no", "maybe", "yes"]
Cause = str
"""What `retry.on` speaks of: ok, unsent, reset, timeout, throttled, a status such as "503", or a gRPC code's name."""


class Kind(Enum):
    """The four things that can become of an attempt."""

    SUCCESS = "success"
    FAILURE = "failure"
    THROTTLED = "throttled"
    IGNORED = "ignored"


class Outcome:
    """An immutable verdict on one attempt.

    `retry_safe` True: provably not processed, any method may be repeated; None: only what is idempotent;
    False: never. `pushback` is the server's own wish in seconds; negative means *do not retry* (gRPC A6).
    `text` completes the sentence "10.0.0.1:8080 ...": "answered 503", "connect timed out". `status` is the protocol's
    own number for telemetry (an HTTP status), 0 when nothing was answered.
    """

    __slots__ = (
        "cause",
        "charged",
        "delivered",
        "failed",
        "kind",
        "ok",
        "pushback",
        "retry_safe",
        "status",
        "text",
    )

    def __init__(
        self,
        kind: Kind,
        cause: Cause,
        text: str,
        *,
        retry_safe: bool | None = None,
        pushback: float | None = None,
        delivered: Delivered = "maybe",
        status: int = 0,
    ) -> None:
        self.kind: Kind = kind
        self.cause: Cause = cause
        self.text: str = text
        self.retry_safe: bool | None = retry_safe
        self.pushback: float | None = pushback
        self.delivered = delivered
        self.status: int = status
        # Derived once, because the hot path asks on every attempt.
        self.ok: bool = kind is Kind.SUCCESS
        self.failed: bool = kind is Kind.FAILURE
        self.charged: bool = kind is Kind.FAILURE or kind is Kind.THROTTLED

    def __repr__(self) -> str:
        return f"Outcome({self.kind.value}, {self.cause!r}, {self.text!r})"


OK = Outcome(Kind.SUCCESS, "ok", "answered", retry_safe=False, delivered="yes")
CANCELLED = Outcome(Kind.IGNORED, "cancelled", "was cancelled by the caller", retry_safe=False)
