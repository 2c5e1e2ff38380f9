"""PolicySnapshot: one document at one moment, as a provider published it."""

from __future__ import annotations

import msgspec

from meshlib.policy.spec import Document

__all__ = ["PolicySnapshot"]


class PolicySnapshot(msgspec.Struct, frozen=True):
    """Immutable. Published by one reference assignment; calls under way keep the one they began with.

    `version` is the source's own mark (a revision, an ETag, a digest), `source` a text without credentials,
    `received` monotonic seconds, from which the age in `state()` is counted.
    """

    document: Document
    version: str = ""
    source: str = ""
    received: float = 0.0
