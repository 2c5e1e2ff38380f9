"""httpcore2's asyncio pools, guarded, and all that the httpx wire takes from httpcore2 for httpx2."""

from __future__ import annotations

from typing import ClassVar

import httpcore2
import httpx2

from meshlib.transport.guarded import Guarded
from meshlib.transport.pooling import Pooling

__all__ = ["POOLING", "AsyncGuardedPool", "AsyncGuardedProxy", "AsyncGuardedSocks"]


class AsyncGuardedPool(Guarded, httpcore2.AsyncConnectionPool):
    """As httpcore2's."""

    unavailable: ClassVar[type[Exception]] = httpcore2.ConnectionNotAvailable


class AsyncGuardedProxy(Guarded, httpcore2.AsyncHTTPProxy):
    """As httpcore2's."""

    unavailable: ClassVar[type[Exception]] = httpcore2.ConnectionNotAvailable


class AsyncGuardedSocks(Guarded, httpcore2.AsyncSOCKSProxy):
    """As httpcore2's."""

    unavailable: ClassVar[type[Exception]] = httpcore2.ConnectionNotAvailable


POOLING = Pooling(
    httpcore2,
    httpx2,
    guarded=AsyncGuardedPool,
    guarded_proxy=AsyncGuardedProxy,
    guarded_socks=AsyncGuardedSocks,
)
