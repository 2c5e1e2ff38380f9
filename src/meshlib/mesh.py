"""Mesh: one policy, one set of services, shared by any number of clients. Wiring only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlib.core.hook import AsyncHook, Hook
from meshlib.core.listener import Listener
from meshlib.runtime import Runtime
from meshlib.runtime.build import build

if TYPE_CHECKING:
    from types import TracebackType

    from meshlib.drivers.attempts import AsyncAttempts, Attempts
    from meshlib.policy import Policy
    from meshlib.transport.client import AsyncClient, Client
    from meshlib.transport.transports import AsyncMeshTransport, MeshTransport

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

    def client(self, target: str = "", **arguments: Any) -> Client:
        """A `meshlib.Client` on this mesh."""
        from meshlib.transport.client import Client

        return Client(target, mesh=self, **arguments)

    def async_client(self, target: str = "", **arguments: Any) -> AsyncClient:
        """A `meshlib.AsyncClient` on this mesh."""
        from meshlib.transport.client import AsyncClient

        return AsyncClient(target, mesh=self, **arguments)

    def transport(self, **wire: Any) -> MeshTransport:
        """An httpx transport on this mesh, for code that owns its httpx.Client. `wire`: verify, cert, http2, limits, ..."""
        from meshlib.transport.settings import WireSettings
        from meshlib.transport.transports import MeshTransport
        from meshlib.transport.wires import Wires

        return MeshTransport(self.runtime, Wires(self.runtime, WireSettings(**wire)))

    def async_transport(self, **wire: Any) -> AsyncMeshTransport:
        """The same for httpx.AsyncClient."""
        from meshlib.transport.settings import WireSettings
        from meshlib.transport.transports import AsyncMeshTransport
        from meshlib.transport.wires import AsyncWires

        return AsyncMeshTransport(self.runtime, AsyncWires(self.runtime, WireSettings(**wire)))

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

    def refresh(self, service: str | None = None) -> None:
        """Ask discovery again now, for one service or all; returns at once."""
        self.runtime.refresh(service)

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
