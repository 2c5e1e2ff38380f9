"""Client and AsyncClient on httpx2: real subclasses of its clients, with the mesh underneath."""

from __future__ import annotations

from typing import Any, ClassVar

from meshlib.transport.binding import Binding
from meshlib.transport.client_mixin import AsyncClientMixin, SyncClientMixin
from meshlib.transport.family_httpx2 import BINDING, AsyncMeshTransport, MeshTransport, httpx2
from meshlib.transport.fast import AsyncFast, SyncFast
from meshlib.transport.fast_httpx2 import ASYNC_CLIENT, CLIENT
from meshlib.transport.fast_profile import ClientKind
from meshlib.transport.transports import AsyncMeshed, Meshed

__all__ = ["AsyncClient", "Client"]


class Client(
    SyncFast[httpx2.Request, httpx2.Response],
    SyncClientMixin[httpx2.Request, httpx2.Response, httpx2.Timeout],
    httpx2.Client,
):
    """`httpx2.Client` on the mesh: every request finds a healthy instance, is bounded, retried where safe, and observed.

    `target` ("http://orders", or just "orders") becomes the base URL. `mesh` is a Mesh to share; without one the process's
    default mesh is used. `discovery`, `policy` or `policy_server` make a private mesh that closes with this client.
    `timeout` as a number bounds the whole call in seconds, retries and redirects included; `httpx2.Timeout` keeps httpx2's
    meaning. All other arguments are httpx2's. Thread-safe. Raises ConfigError for arguments that contradict each other, and
    TypeError for objects of another client family.
    """

    binding: ClassVar[Binding] = BINDING
    meshed: ClassVar[type[Meshed[Any, Any] | AsyncMeshed[Any, Any]]] = MeshTransport
    kind: ClassVar[ClientKind] = CLIENT


class AsyncClient(
    AsyncFast[httpx2.Request, httpx2.Response],
    AsyncClientMixin[httpx2.Request, httpx2.Response, httpx2.Timeout],
    httpx2.AsyncClient,
):
    """`httpx2.AsyncClient` on the mesh; see `Client`. Needs asyncio; may be used from several event loops."""

    binding: ClassVar[Binding] = BINDING
    meshed: ClassVar[type[Meshed[Any, Any] | AsyncMeshed[Any, Any]]] = AsyncMeshTransport
    kind: ClassVar[ClientKind] = ASYNC_CLIENT
