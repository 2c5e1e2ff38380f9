"""The error tree: one root, facts as attributes, text that reads like a sentence.

    MeshError
    ├── NoEndpointError          nothing to send to
    ├── CircuitOpenError         the breaker refuses
    ├── LimitExceededError       the concurrency limit refuses
    ├── RateLimitedError         a rate limit refuses
    ├── DeadlineExceededError    the whole-call deadline has passed
    ├── AttemptsExhaustedError   every attempt failed and none is left
    ├── DiscoveryError           a registry or name server cannot answer
    └── ConfigError              a document, URI or option is wrong

On the HTTP path the same errors also subclass the client family's own classes, so that
`except httpx.HTTPError` and `except meshlib.DeadlineExceededError` both work (`transport.errors`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, ClassVar

__all__ = [
    "AttemptFacts",
    "AttemptsExhaustedError",
    "CircuitOpenError",
    "ConfigError",
    "DeadlineExceededError",
    "DiscoveryError",
    "LimitExceededError",
    "MeshError",
    "NoEndpointError",
    "RateLimitedError",
]


class AttemptFacts:
    """What one attempt met, in plain values, so that errors pickle and outlive the engine's objects."""

    __slots__ = ("address", "cause", "number", "seconds", "text")

    def __init__(self, number: int, address: str, cause: str, text: str, seconds: float) -> None:
        self.number: int = number
        self.address: str = address
        self.cause: str = cause
        self.text: str = text
        self.seconds: float = seconds

    def __str__(self) -> str:
        return f"{self.address} {self.text} {duration_text(self.seconds, after='timed out' in self.text)}"

    def __repr__(self) -> str:
        return (
            f"AttemptFacts({self.number}, {self.address!r}, {self.cause!r}, {self.text!r}, {self.seconds!r})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AttemptFacts) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return AttemptFacts, (self.number, self.address, self.cause, self.text, self.seconds)


def duration_text(seconds: float, *, after: bool = False) -> str:
    """`in 12 ms`, `in 0.92 s`; with `after`, `after 250 ms`."""
    value = f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"
    return f"{'after' if after else 'in'} {value}"


class MeshError(Exception):
    """The root of everything meshlib raises on purpose.

    Attributes, each None or empty when it does not apply: `target` (the service or call, as text without
    query or userinfo), `attempts` (a tuple of AttemptFacts), `retry_safe` (True: provably not
    processed; False: must not be repeated; None: only if idempotent), `retry_after` (seconds), `delivered`
    ("no", "maybe" or "yes") and `request` (the client family's request object; not pickled).
    """

    retry_safe: bool | None = None
    default_delivered: ClassVar[str] = "no"

    def __init__(
        self,
        message: str = "",
        *,
        target: str | None = None,
        attempts: Sequence[AttemptFacts] = (),
        retry_safe: bool | None = None,
        retry_after: float | None = None,
        delivered: str | None = None,
    ) -> None:
        Exception.__init__(self, message)
        self.target = target
        self.attempts: tuple[AttemptFacts, ...] = tuple(attempts)
        self.retry_safe = type(self).retry_safe if retry_safe is None else retry_safe
        self.retry_after = retry_after
        self.delivered: str = self.default_delivered if delivered is None else delivered
        self.request: Any = None

    @property
    def message(self) -> str:
        """The sentence, as `str(error)` gives it."""
        return str(self.args[0]) if self.args else ""

    def facts(self) -> dict[str, Any]:
        """The attributes as a dict: what pickling keeps and what structured logging wants."""
        return {
            "target": self.target,
            "attempts": self.attempts,
            "retry_safe": self.retry_safe,
            "retry_after": self.retry_after,
            "delivered": self.delivered,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.facts())


def _rebuild(cls: Callable[..., MeshError], message: str, facts: Mapping[str, Any]) -> MeshError:
    return cls(message, **facts)


class NoEndpointError(MeshError):
    """No endpoint is known or none could be had before the deadline. Nothing was sent."""

    retry_safe: bool | None = True


class CircuitOpenError(MeshError):
    """The circuit breaker is open; `retry_after` says when it will try again. Nothing was sent."""

    retry_safe: bool | None = True


class LimitExceededError(MeshError):
    """The concurrency limit and its queue are full. Nothing was sent."""

    retry_safe: bool | None = True


class RateLimitedError(MeshError):
    """A rate limit refused the call; `retry_after` says when there is room. Nothing was sent."""

    retry_safe: bool | None = True


class DeadlineExceededError(MeshError):
    """The whole-call deadline passed, retries and waiting included."""

    default_delivered = "maybe"


class AttemptsExhaustedError(MeshError):
    """Several attempts were made, all failed, and no further one is allowed; the last error is the cause."""

    default_delivered = "maybe"


class DiscoveryError(MeshError):
    """A registry, a file of endpoints or a name server gave no usable answer."""

    retry_safe: bool | None = True


class ConfigError(MeshError):
    """A document, URI or option is wrong. The text names the place, the value and what would be right."""

    retry_safe: bool | None = False

    def __init__(self, message: str = "", *, problems: Sequence[str] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.problems: tuple[str, ...] | tuple[str] | tuple[()] = tuple(problems) or (
            (message,) if message else ()
        )

    def facts(self) -> dict[str, Any]:
        """The attributes as a dict, `problems` (one sentence each) among them."""
        return {**super().facts(), "problems": self.problems}
