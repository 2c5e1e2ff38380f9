"""Mesh: one policy, one set of services, shared by any number of clients. Wiring only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from meshlib.core.hook import AsyncHook, Hook
from meshlib.core.listener import Listener
from meshlib.core.uri import service_key
from meshlib.runtime import Runtime
from meshlib.runtime.build import build

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    import grpc

    from meshlib.drivers.attempts import AsyncAttempts, Attempts
    from meshlib.policy import Policy
    from meshlib.security.server import Clients, Configure
    from meshlib.transport.client import AsyncClient, Client
    from meshlib.transport.client_httpx2 import AsyncClient as AsyncClient2
    from meshlib.transport.client_httpx2 import Client as Client2
    from meshlib.transport.family_httpx import AsyncMeshTransport, MeshTransport
    from meshlib.transport.family_httpx2 import AsyncMeshTransport as AsyncMeshTransport2
    from meshlib.transport.family_httpx2 import MeshTransport as MeshTransport2

__all__ = ["Mesh"]


class Mesh:
    """Configuration and state that clients share. Thread-safe; a context manager, sync and async.

    `config` is a document's path (TOML, JSON, YAML), `policy` a Policy, a mapping or a `file://` URI, `discovery` the
    discovery URI of services that name none, `listeners` see every call, `hooks`
    stand around it (`meshlib.core.hook`). Without any of them the environment is asked:
    MESHLIB_CONFIG, MESHLIB_DISCOVERY, MESHLIB_POLICY_SERVER. `telemetry=False` turns OpenTelemetry off. Raises ConfigError
    with every problem at once. Closing stops discovery and closes connections; calls under way finish.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        *,
        policy: Policy | Mapping[str, Any] | str | None = None,
        discovery: str | None = None,
        policy_server: str | None = None,
        listeners: Iterable[Listener] = (),
        hooks: Iterable[Hook | AsyncHook] = (),
        telemetry: bool = True,
    ) -> None:
        if config is None and policy is None and discovery is None and policy_server is None:
            import os

            config = os.environ.get("MESHLIB_CONFIG") or None
            discovery = os.environ.get("MESHLIB_DISCOVERY") or None
            policy_server = os.environ.get("MESHLIB_POLICY_SERVER") or None
        self.runtime: Runtime = build(
            config=config,
            policy=policy,
            discovery=discovery,
            policy_server=policy_server,
            listeners=listeners,
            hooks=hooks,
            telemetry=telemetry,
        )

    @classmethod
    def from_file(cls, path: str | Path, **arguments: Any) -> Mesh:
        """A mesh from a document's path; the same as `Mesh(path)`."""
        return cls(path, **arguments)

    @overload
    def client(self, target: str = "", *, family: Literal["httpx"] = ..., **arguments: Any) -> Client: ...
    @overload
    def client(self, target: str = "", *, family: Literal["httpx2"], **arguments: Any) -> Client2: ...
    def client(self, target: str = "", *, family: str = "httpx", **arguments: Any) -> Any:
        """A `meshlib.Client` on this mesh; with `family="httpx2"` a `meshlib.httpx2.Client`."""
        from meshlib.transport.families import clients

        return clients(family).Client(target, mesh=self, **arguments)

    @overload
    def async_client(
        self, target: str = "", *, family: Literal["httpx"] = ..., **arguments: Any
    ) -> AsyncClient: ...
    @overload
    def async_client(
        self, target: str = "", *, family: Literal["httpx2"], **arguments: Any
    ) -> AsyncClient2: ...
    def async_client(self, target: str = "", *, family: str = "httpx", **arguments: Any) -> Any:
        """A `meshlib.AsyncClient` on this mesh; with `family="httpx2"` a `meshlib.httpx2.AsyncClient`."""
        from meshlib.transport.families import clients

        return clients(family).AsyncClient(target, mesh=self, **arguments)

    @overload
    def transport(self, *, family: Literal["httpx"] = ..., **wire: Any) -> MeshTransport: ...
    @overload
    def transport(self, *, family: Literal["httpx2"], **wire: Any) -> MeshTransport2: ...
    def transport(self, *, family: str = "httpx", **wire: Any) -> Any:
        """A transport on this mesh, for code that owns its httpx.Client, or with `family="httpx2"` its httpx2.Client.

        `wire`: verify, cert, http2, limits, ... as that client takes them. Raises ImportError without the family's package.
        """
        from meshlib.transport.families import transport

        return transport(family, self.runtime, wire)

    @overload
    def async_transport(self, *, family: Literal["httpx"] = ..., **wire: Any) -> AsyncMeshTransport: ...
    @overload
    def async_transport(self, *, family: Literal["httpx2"], **wire: Any) -> AsyncMeshTransport2: ...
    def async_transport(self, *, family: str = "httpx", **wire: Any) -> Any:
        """The same for the family's AsyncClient."""
        from meshlib.transport.families import async_transport

        return async_transport(family, self.runtime, wire)

    def attempts(
        self,
        service: str,
        *,
        timeout: float | None = 0.0,
        on: type[Exception] | tuple[type[Exception], ...] = (OSError, EOFError),
        idempotent: bool = True,
    ) -> _Attempts:
        """Endpoints of `service` for any client or protocol, one a try, under the same protections.

            for attempt in mesh.attempts("cache"):          # or: async for ... async with
                with attempt as node:
                    redis.Redis(node.host, node.port).ping()

        An exception in `on` raised inside the block fails the attempt and is retried on another node; the last one is
        raised. `timeout` bounds the whole call in seconds (0: the policy's; None: none). `idempotent=False` for a block that
        must not be done twice: it is repeated only after what provably did nothing, such as a refused connect.
        """
        return _Attempts(self.runtime, service, timeout, on if isinstance(on, tuple) else (on,), idempotent)

    def server_ssl_context(
        self,
        *,
        clients: Clients = "strict",
        alpn: tuple[str, ...] = ("http/1.1",),
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        spiffe_ids: tuple[str, ...] = (),
        sans: tuple[str, ...] = (),
        configure: Configure | None = None,
    ) -> ssl.SSLContext:
        """An SSL context for a server of this process (uvicorn, hypercorn, gunicorn, asyncio, ...), rotated without a restart.

        The files are those of `[defaults] tls`, or those given here. `clients`: strict refuses whoever shows no certificate of
        our authorities, permissive lets them in without one; with `spiffe_ids` or `sans` a client that shows one must be one
        of these. The context cannot be changed: `configure` is called with each real one. Equal arguments give the same
        context. ConfigError for files that are wrong.
        """
        from meshlib.runtime.security import server_options

        document = self.runtime.policy.document
        options = server_options(document, ca, cert, key, spiffe_ids=tuple(spiffe_ids), sans=tuple(sans))
        context: ssl.SSLContext = self.runtime.identities.server(options, clients, tuple(alpn), configure)
        return context

    def server_credentials(
        self,
        *,
        clients: Clients = "strict",
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
    ) -> grpc.ServerCredentials:
        """The same for gRPC servers (`add_secure_port`), sync and aio. permissive asks no client for a certificate."""
        from meshlib.runtime.security import server_options

        options = server_options(self.runtime.policy.document, ca, cert, key)
        credentials: grpc.ServerCredentials = self.runtime.identities.grpc_server(options, clients)
        return credentials

    def refresh(self, service: str | None = None) -> None:
        """Ask discovery again now, for one service or all; returns at once."""
        self.runtime.refresh(service)

    def warm(self, service: str, address: str = "") -> None:
        """Connect to the endpoints of a service that was called before (or to the one at `address`) where nothing is open.

        Best effort, on the control path and the loops that have called it; returns at once.
        """
        self.runtime.warm(service_key(service).key, address)

    def state(self) -> dict[str, Any]:
        """What the mesh knows now, as plain values for JSON (see docs/reference/state.md). Holds no secrets."""
        from meshlib.runtime.state import state

        return state(self.runtime)

    def explain(
        self, target: str, method: str = "GET", path: str = "/", headers: Mapping[str, str] | None = None
    ) -> Any:
        """What would happen to a request, and why: service, route, endpoints, limits, and which layer set each key.

        `str()` of the answer is for people, `.facts` for programs. Sends nothing.
        """
        from meshlib.runtime.explain import explain

        return explain(self.runtime, target, method, path, headers or {})

    def close(self) -> None:
        """Stop discovery and close connections. Idempotent."""
        self.runtime.close()

    async def aclose(self) -> None:
        """The same, from asyncio."""
        self.runtime.close()

    def __enter__(self) -> Mesh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Mesh:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Attempts:
    """Iterable both ways: `for` gives the sync driver, `async for` the async one."""

    def __init__(
        self,
        runtime: Runtime,
        service: str,
        timeout: float | None,
        on: tuple[type[Exception], ...],
        idempotent: bool,
    ) -> None:
        self._runtime = runtime
        self._service = service
        self._timeout = timeout
        self._on = on
        self._idempotent = idempotent

    def _plan(self) -> tuple[Any, Any, float]:
        from meshlib.core.deadline import NEVER
        from meshlib.runtime.plain import PlainRequest, family_of

        request = PlainRequest(self._service)
        plan = self._runtime.plan(family_of(self._on), request)
        if self._timeout is None:
            return plan, request, NEVER
        return plan, request, self._runtime.clock() + self._timeout if self._timeout else 0.0

    def __iter__(self) -> Attempts:
        from meshlib.drivers.attempts import ONCE, REPEATABLE, Attempts

        plan, request, deadline = self._plan()
        flags = REPEATABLE if self._idempotent else ONCE
        return Attempts(plan, request, self._runtime.clock, deadline, flags=flags)

    def __aiter__(self) -> AsyncAttempts:
        from meshlib.drivers.attempts import ONCE, REPEATABLE, AsyncAttempts

        plan, request, deadline = self._plan()
        flags = REPEATABLE if self._idempotent else ONCE
        return AsyncAttempts(plan, request, self._runtime.clock, deadline, flags=flags)
