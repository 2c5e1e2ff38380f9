"""The family of everything that is no protocol of ours: functions, and `mesh.attempts()` for any client library."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from meshlib import errors
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.uri import service_key
from meshlib.engine.attempt import Attempt

__all__ = ["PlainFamily", "PlainRequest", "family_of"]

_CHAIN = 8


class PlainRequest:
    """A call to a service of which nothing else is known."""

    __slots__ = ("origin", "service")

    def __init__(self, service: str) -> None:
        name = service_key(service)
        self.service: str = name.key
        self.origin: tuple[str, str, int | None] = (name.scheme, name.host, name.port)

    def __repr__(self) -> str:
        return self.service


class PlainFamily:
    """Exceptions of the classes `on` are failures of the attempt; all others are the user's own. See `engine.family`."""

    errors = errors

    def __init__(self, on: tuple[type[BaseException], ...]) -> None:
        self.transport_errors: tuple[*tuple[type[BaseException], ...], type[TimeoutError]] = (
            *on,
            TimeoutError,
        )

    def origin(self, request: PlainRequest) -> tuple[str, str, int | None]:
        """The service named by the caller."""
        return request.origin

    def facts(self, request: PlainRequest) -> tuple[str, str, dict[str, str]]:
        """Nothing that a route could match on."""
        return ("", "/", {})

    def classify(self, reply: Any) -> Outcome:
        """A block that ends without an exception succeeded."""
        return OK

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        """Refused and failed connects are provably unsent; everything else may have been processed."""
        if _refused(error):
            return Outcome(Kind.FAILURE, "unsent", "refused the connection", retry_safe=True, delivered="no")
        if isinstance(error, TimeoutError):
            return Outcome(Kind.FAILURE, "timeout", "timed out")
        if isinstance(error, errors.MeshError):
            return Outcome(
                Kind.FAILURE, "error", f"raised {type(error).__name__}", retry_safe=error.retry_safe
            )
        return Outcome(Kind.FAILURE, "reset", f"raised {type(error).__name__}")

    def describe(self, request: PlainRequest) -> str:
        """The service's name."""
        return f"a call to {request.service}"

    def mapped(self, error: BaseException, request: PlainRequest) -> BaseException:
        """The user's own exception, as it was."""
        return error

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> errors.MeshError:
        """AttemptsExhaustedError."""
        return errors.AttemptsExhaustedError(message, **facts)

    def attach(self, error: BaseException, request: PlainRequest) -> BaseException:
        """Nothing to add."""
        return error

    def discard(self, reply: Any) -> None:
        """Nothing is held by a reply."""

    async def adiscard(self, reply: Any) -> None:
        """Nothing is held by a reply."""


def _refused(error: BaseException | None) -> bool:
    """Whether a refused connect is behind it: client libraries wrap what the socket said."""
    for _ in range(_CHAIN):
        if error is None:
            return False
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False


@lru_cache(maxsize=256)
def family_of(on: tuple[type[BaseException], ...]) -> PlainFamily:
    """One family per set of classes, because plans are kept by family."""
    return PlainFamily(on)
