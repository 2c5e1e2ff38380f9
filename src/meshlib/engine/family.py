"""Family: everything the engine must ask of a protocol. Implemented by transports; the engine knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from meshlib.core.outcome import Outcome
    from meshlib.engine.attempt import Attempt
    from meshlib.errors import MeshError

__all__ = ["Family"]


class Family(Protocol):
    """One protocol (or client library) as the engine and the drivers see it."""

    @property
    def errors(self) -> Any:
        """A namespace with the classes of `meshlib.errors`, as this family raises them."""
        ...

    @property
    def transport_errors(self) -> tuple[type[BaseException], ...]:
        """What `send` may raise that is an attempt's result. Anything else is a caller's bug, signal or cancellation."""
        ...

    def classify(self, reply: Any) -> Outcome:
        """A reply's outcome, decided once."""
        ...

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        """An error's outcome, decided once.

        Besides `transport_errors` it has to accept TimeoutError: what the async drivers make of an attempt whose time is up.
        """
        ...

    def origin(self, request: Any) -> tuple[str, str, int | None]:
        """(scheme, host, port or None): which service a request is for."""
        ...

    def facts(self, request: Any) -> tuple[str, str, Any]:
        """(method, path, headers): what routes match on. `headers.get` takes names in lower case."""
        ...

    def describe(self, request: Any) -> str:
        """`GET http://orders/v1/42`: the request in errors and spans, without query, userinfo or body."""
        ...

    def mapped(self, error: BaseException, request: Any) -> BaseException:
        """The error a user of this family expects for a call that failed in one attempt."""
        ...

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> MeshError:
        """AttemptsExhaustedError, in this family also of the last error's own class."""
        ...

    def attach(self, error: BaseException, request: Any) -> BaseException:
        """Give an error of ours what this family's users read from it (its request)."""
        ...

    def discard(self, reply: Any) -> None:
        """Close a reply that a retry replaces."""
        ...

    async def adiscard(self, reply: Any) -> None:
        """The same for the async driver."""
        ...
