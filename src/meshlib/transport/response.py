"""What a call that went through meshlib adds to a response: its history, in `extensions["meshlib"]` and in errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from meshlib.engine.attempt import Attempt

__all__ = ["History", "MeshResponse", "annotate"]

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


class MeshResponse(httpx.Response):
    """httpx.Response whose `raise_for_status()` tells the attempts that led to it."""

    def __init__(self, attempt: Attempt, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.extensions["meshlib"] = History(attempt)

    def raise_for_status(self) -> httpx.Response:
        """As httpx; after more than one attempt the message ends with their history."""
        try:
            return super().raise_for_status()
        except httpx.HTTPStatusError as error:
            # A response that was pickled has lost its extensions, as httpx's do.
            trail = self.extensions.get("meshlib", {}).get("attempts", ())
            if len(trail) > 1:
                told = "; ".join(str(facts) for facts in trail)
                message = f"{error}\nAfter {len(trail)} attempts: {told}"
                raise httpx.HTTPStatusError(message, request=error.request, response=self) from None
            raise


def annotate(response: httpx.Response, attempt: Attempt) -> httpx.Response:
    """Give a response made by somebody else (a user's own transport) its history."""
    response.extensions["meshlib"] = History(attempt)
    return response
