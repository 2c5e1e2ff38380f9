"""The family httpx2: written shells over the parts that know no family, and the binding that names them."""

from __future__ import annotations

from typing import Any, ClassVar

try:
    import httpx2
except ImportError as _absent:
    raise ImportError(
        'meshlib on httpx2 needs the extra: pip install "meshlib-client[httpx2]"', name=_absent.name
    ) from _absent

from meshlib.transport import errors_httpx2, lazy_httpx2
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
    "httpx2",
]


class MeshResponse(Told, httpx2.Response):
    """httpx2.Response whose `raise_for_status()` tells the attempts that led to it."""

    status_error: ClassVar[type[Any]] = httpx2.HTTPStatusError


class LeasedBody(SyncLeased, httpx2.SyncByteStream):
    """A streamed body that carries its attempt's lease."""


class AsyncLeasedBody(AsyncLeased, httpx2.AsyncByteStream):
    """A streamed body that carries its attempt's lease, for asyncio."""


class SharedAuth(SharedFlow, httpx2.Auth):
    """An authentication whose every request is a hop of the one call it belongs to."""


def _pooling() -> Pooling:
    from meshlib.transport.pooling_httpcore2 import POOLING

    return POOLING


BINDING = Binding(
    httpx2,
    errors_httpx2,
    response=MeshResponse,
    leased=LeasedBody,
    async_leased=AsyncLeasedBody,
    shared_auth=SharedAuth,
    pooling=_pooling,
    lazy_response=lazy_httpx2.Response,
)


class MeshTransport(Meshed[httpx2.Request, httpx2.Response], httpx2.BaseTransport):
    """`mesh.transport(family="httpx2")`: a transport for code that owns its httpx2.Client. See `transport.transports`."""

    binding: ClassVar[Binding] = BINDING


class AsyncMeshTransport(AsyncMeshed[httpx2.Request, httpx2.Response], httpx2.AsyncBaseTransport):
    """`mesh.async_transport(family="httpx2")`: the same for httpx2.AsyncClient."""

    binding: ClassVar[Binding] = BINDING
