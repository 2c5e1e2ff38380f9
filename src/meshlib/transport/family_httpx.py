"""The family httpx: written shells over the parts that know no family, and the binding that names them."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx

from meshlib.transport import errors_httpx, lazy_httpx
from meshlib.transport.binding import Binding
from meshlib.transport.body import AsyncLeased, SyncLeased
from meshlib.transport.hops import SharedFlow
from meshlib.transport.pooling import Pooling
from meshlib.transport.response import Told
from meshlib.transport.transports import AsyncMeshed, Meshed

__all__ = [
    "BINDING",
    "AsyncLeasedBody",
    "AsyncMeshTransport",
    "LeasedBody",
    "MeshResponse",
    "MeshTransport",
    "SharedAuth",
]


class MeshResponse(Told, httpx.Response):
    """httpx.Response whose `raise_for_status()` tells the attempts that led to it."""

    status_error: ClassVar[type[Any]] = httpx.HTTPStatusError


class LeasedBody(SyncLeased, httpx.SyncByteStream):
    """A streamed body that carries its attempt's lease."""


class AsyncLeasedBody(AsyncLeased, httpx.AsyncByteStream):
    """A streamed body that carries its attempt's lease, for asyncio."""


class SharedAuth(SharedFlow, httpx.Auth):
    """An authentication whose every request is a hop of the one call it belongs to."""


def _pooling() -> Pooling:
    from meshlib.transport.pooling_httpcore import POOLING

    return POOLING


BINDING = Binding(
    httpx,
    errors_httpx,
    response=MeshResponse,
    leased=LeasedBody,
    async_leased=AsyncLeasedBody,
    shared_auth=SharedAuth,
    pooling=_pooling,
    lazy_response=lazy_httpx.Response,
)


class MeshTransport(Meshed[httpx.Request, httpx.Response], httpx.BaseTransport):
    """`mesh.transport()`: a transport for code that owns its httpx.Client. See `transport.transports`."""

    binding: ClassVar[Binding] = BINDING


class AsyncMeshTransport(AsyncMeshed[httpx.Request, httpx.Response], httpx.AsyncBaseTransport):
    """`mesh.async_transport()`: the same for httpx.AsyncClient."""

    binding: ClassVar[Binding] = BINDING
