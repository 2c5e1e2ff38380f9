"""What a call that went through meshlib adds to a response: its history, in `extensions["meshlib"]` and in errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from meshlib.engine.attempt import Attempt

__all__ = ["History", "Told", "annotate"]

_KEYS = ("attempts", "cluster", "node", "budget", "variant")


class History(Mapping[str, Any]):
    """A read-only mapping, worked out when somebody looks: `attempts` (a tuple of AttemptFacts), `cluster`, `node`
    (address of the one that answered), `budget` (what is left), `variant` (subset chosen by a split, or None)."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def settle(self, now: float) -> None:
        """Give the lease back of a response whose body was whole already."""
        self._attempt.release(now)

    def __getitem__(self, key: str) -> Any:
        attempt = self._attempt
        plan = attempt.call.plan
        match key:
            case "attempts":
                return attempt.trail()
            case "cluster":
                return plan.cluster.name
            case "node":
                return attempt.node.address
            case "budget":
                return None if plan.budget is None else plan.budget.balance(attempt.finished)
            case "variant":
                return plan.cluster.subset or None
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def __repr__(self) -> str:
        return f"History({dict(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class Told:
    """What a family's Response class becomes one of ours by: its history, and `raise_for_status()` that tells it.

    Made by wires from `(attempt, status, headers, stream, extensions)`, without a keyword on the way.
    """

    status_error: ClassVar[type[Any]]
    """The family's HTTPStatusError."""
    extensions: dict[str, Any]

    def __init__(
        self, attempt: Attempt, status: int, headers: Any, stream: Any, extensions: dict[str, Any]
    ) -> None:
        super().__init__(status, headers=headers, stream=stream, extensions=extensions)  # type: ignore[call-arg]
        self.extensions["meshlib"] = History(attempt)

    def raise_for_status(self) -> Any:
        """As the family's; after more than one attempt the message ends with their history."""
        try:
            return super().raise_for_status()  # type: ignore[misc]
        except self.status_error as error:
            # A response that was pickled has lost its extensions, as the families' own do.
            trail = self.extensions.get("meshlib", {}).get("attempts", ())
            if len(trail) > 1:
                told = "; ".join(str(facts) for facts in trail)
                message = f"{error}\nAfter {len(trail)} attempts: {told}"
                raise self.status_error(message, request=error.request, response=self) from None
            raise


def annotate(response: Any, attempt: Attempt) -> Any:
    """Give a response made by somebody else (a user's own transport) its history."""
    response.extensions["meshlib"] = History(attempt)
    return response
