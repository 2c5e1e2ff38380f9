"""When to ask again: before an answer runs out, and never in step with others."""

from __future__ import annotations

__all__ = ["LONGEST", "SHARE", "SHORTEST", "refresh_after"]

SHARE = 0.9
"""Of the TTL. Asking before it runs out means that new instances are seen without waiting for a failure."""

SHORTEST = 1.0
"""Seconds between two questions at least, whatever the TTL (0 means "do not cache")."""

LONGEST = 60.0
"""Seconds at most: a day's TTL on a service record is an oversight, and this is a mesh."""


def refresh_after(ttl: float, random: float) -> float:
    """Seconds until the next question: 0.9 x TTL, up to a tenth less by chance, held between 1 s and 60 s."""
    held = min(max(SHARE * ttl, SHORTEST), LONGEST)
    return max(held * (1.0 - 0.1 * random), SHORTEST)
