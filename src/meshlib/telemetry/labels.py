"""Labels: how telemetry names a cluster and what became of a call. The same words on spans and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlib.core.outcome import CANCELLED, Outcome

if TYPE_CHECKING:
    from meshlib.engine.call import Call
    from meshlib.engine.cluster import Cluster

__all__ = ["CANCELLED_WORD", "REFUSED", "cluster_label", "word_of"]

REFUSED = "refused"
CANCELLED_WORD = "cancelled"


def cluster_label(cluster: Cluster) -> str:
    """`orders`, or `orders/v2` for a subset."""
    return f"{cluster.name}/{cluster.subset}" if cluster.subset else cluster.name


def word_of(call: Call, outcome: Outcome | None) -> tuple[str, Outcome | None]:
    """The call's outcome in a word, and the Outcome behind it.

    `success`, `failure`, `throttled`, `ignored`; `cancelled` by the caller; `refused` (None) ended before any attempt. A
    call that ended between attempts (deadline, no slot, no node) has the outcome of its last one.
    """
    if outcome is None and call.last is not None:
        outcome = call.last.outcome
    if outcome is None:
        return REFUSED, None
    if outcome is CANCELLED:
        return CANCELLED_WORD, outcome
    return outcome.kind._value_, outcome
