"""httpcore's asyncio pools, guarded, and all that the httpx wire takes from httpcore for httpx."""

from __future__ import annotations

from typing import ClassVar

import httpcore
import httpx

from meshlib.transport.guarded import Guarded
from meshlib.transport.pooling import Pooling

__all__ = ["POOLING", "AsyncGuardedPool", "AsyncGuardedProxy", "AsyncGuardedSocks"]


class AsyncGuardedPool(Guarded, httpcore.AsyncConnectionPool):
    """As httpcore's."""

    unavailable: ClassVar[type[Exception]] = httpcore.ConnectionNotAvailable


class AsyncGuardedProxy(Guarded, httpcore.AsyncHTTPProxy):
    """As httpcore's."""

    unavailable: ClassVar[type[Exception]] = httpcore.ConnectionNotAvailable


class AsyncGuardedSocks(Guarded, httpcore.AsyncSOCKSProxy):
    """As httpcore's."""

    unavailable: ClassVar[type[Exception]] = httpcore.ConnectionNotAvailable


POOLING = Pooling(
    httpcore,
    httpx,
    guarded=AsyncGuardedPool,
    guarded_proxy=AsyncGuardedProxy,
    guarded_socks=AsyncGuardedSocks,
)
