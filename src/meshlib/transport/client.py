"""Client and AsyncClient: real subclasses of httpx's, with the mesh underneath.

What httpx documents (auth, cookies, redirects, event hooks, base_url, streaming) is httpx's own code. The mixin only decides
what the arguments mean for the mesh and tells the transport what httpx has no words for: the whole call's deadline, and
whether the body is wanted whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from meshlib.core.deadline import NEVER
from meshlib.core.endpoint import address_text
from meshlib.core.uri import service_key
from meshlib.errors import ConfigError
from meshlib.runtime import Runtime, borrowed
from meshlib.transport.options import EXTENSION, CallOptions, WholeTimeout, whole_timeout
from meshlib.transport.transports import AsyncMeshTransport, MeshTransport
from meshlib.transport.wires import AsyncWires, Wires, WireSettings

if TYPE_CHECKING:
    from meshlib.policy import Policy

__all__ = ["AsyncClient", "Client"]

_NOT_GIVEN: Any = httpx.USE_CLIENT_DEFAULT
_WIRE_ARGUMENTS = ("verify", "cert", "trust_env", "http1", "http2", "limits")


class _ClientMixin:
    """What both clients share. `_runtime_held` is the runtime and whether this client has to close it."""

    _mesh: Runtime
    _own: bool
    _whole: WholeTimeout | None

    def _prepare(
        self,
        target: str,
        mesh: Any,
        discovery: str | None,
        policy: Policy | Mapping[str, Any] | str | None,
        policy_server: str | None,
        timeout: Any,
        arguments: dict[str, Any],
    ) -> dict[str, Any]:
        """Settle the mesh and the target; returns httpx's own arguments."""
        self._mesh, self._own = borrowed(mesh, discovery, policy, policy_server, target)
        if target:
            if arguments.get("base_url"):
                raise ConfigError("target and base_url name the same thing twice: give one of them")
            name = service_key(target)
            arguments["base_url"] = f"{name.scheme}://{address_text(name.host, name.port or 0)}{name.path}"
            if discovery is not None:
                self._mesh.introduce(name, discovery)
        self._whole = None if timeout is _NOT_GIVEN else whole_timeout(timeout)
        arguments["timeout"] = timeout if isinstance(timeout, httpx.Timeout | tuple) else None
        transport = arguments.get("transport")
        if isinstance(transport, MeshTransport | AsyncMeshTransport):
            raise ConfigError(
                "transport= is a meshlib transport already: a call would run through two engines; leave it out, "
                "or give it to httpx.Client"
            )
        return arguments

    def _settings(self, arguments: dict[str, Any]) -> WireSettings:
        given = {name: arguments[name] for name in _WIRE_ARGUMENTS if name in arguments}
        return WireSettings(**given)

    # --- what httpx's classes are asked for, with the mesh's meaning -------------------------------------------------

    @property
    def timeout(self) -> httpx.Timeout:
        """httpx's four timeouts. Setting a number or None sets the whole call's deadline instead."""
        found: httpx.Timeout = super().timeout  # type: ignore[misc]
        return found

    @timeout.setter
    def timeout(self, timeout: Any) -> None:
        self._whole = whole_timeout(timeout)
        per_operation = timeout if self._whole is None else None
        httpx.Client.timeout.fset(self, per_operation)  # type: ignore[attr-defined]

    def build_request(self, method: str, url: Any, **arguments: Any) -> httpx.Request:
        """As httpx's; `timeout=` as a number (or None) bounds the whole call."""
        timeout = arguments.get("timeout", _NOT_GIVEN)
        whole = self._whole if timeout is _NOT_GIVEN else whole_timeout(timeout)
        if whole is not None and timeout is not _NOT_GIVEN:
            arguments["timeout"] = None
        request: httpx.Request = super().build_request(method, url, **arguments)  # type: ignore[misc]
        if whole is not None:
            request.extensions.setdefault(EXTENSION, whole)
        return request

    def _opened(self, request: httpx.Request, stream: bool) -> None:
        """Begin a logical call: its deadline starts here and is shared by all hops."""
        given = request.extensions.get(EXTENSION, self._whole)
        deadline = 0.0
        if isinstance(given, CallOptions):
            given = given.whole
        if isinstance(given, WholeTimeout):
            deadline = NEVER if given.seconds is None else self._mesh.clock() + given.seconds
        # A copy, because a request built once may be sent many times and by several threads.
        request.extensions = {
            **request.extensions,
            EXTENSION: CallOptions(stream, deadline, given if isinstance(given, WholeTimeout) else None),
        }


class Client(_ClientMixin, httpx.Client):
    """`httpx.Client` on the mesh: every request finds a healthy instance, is bounded, retried where safe, and observed.

    `target` ("http://orders", or just "orders") becomes the base URL. `mesh` is a Mesh to share; without one the process's
    default mesh is used. `discovery`, `policy` or `policy_server` make a private mesh that closes with this client.
    `timeout` as a number bounds the whole call in seconds, retries and redirects included; `httpx.Timeout` keeps httpx's
    meaning. All other arguments are httpx's. Thread-safe. Raises ConfigError for arguments that contradict each other.
    """

    def __init__(
        self,
        target: str = "",
        *,
        mesh: Any = None,
        discovery: str | None = None,
        policy: Policy | Mapping[str, Any] | str | None = None,
        policy_server: str | None = None,
        timeout: Any = _NOT_GIVEN,
        **httpx_arguments: Any,
    ) -> None:
        arguments = self._prepare(target, mesh, discovery, policy, policy_server, timeout, httpx_arguments)
        settings = self._settings(arguments)

        def meshed(foreign: httpx.BaseTransport | None, balanced: bool) -> MeshTransport:
            runtime = self._mesh if balanced else self._mesh.unbalanced()
            return MeshTransport(runtime, Wires(runtime, settings, foreign))

        mounts = dict(arguments.pop("mounts", None) or {})
        proxy = arguments.pop("proxy", None)
        if proxy is not None:
            mounts.setdefault("all://", httpx.HTTPTransport(proxy=proxy, **_transport_arguments(arguments)))
        arguments["mounts"] = {
            pattern: None if one is None else meshed(one, False) for pattern, one in mounts.items()
        }
        foreign = arguments.pop("transport", None)
        arguments["transport"] = meshed(foreign, foreign is None or discovery is not None)
        super().__init__(**arguments)

    def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """As httpx's."""
        self._opened(request, stream)
        return super().send(request, stream=stream, **arguments)

    def close(self) -> None:
        """As httpx's; a private mesh closes too."""
        super().close()
        self._mesh.returned(self._own)

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        self._mesh.returned(self._own)


class AsyncClient(_ClientMixin, httpx.AsyncClient):
    """`httpx.AsyncClient` on the mesh; see `Client`. Needs asyncio; may be used from several event loops."""

    def __init__(
        self,
        target: str = "",
        *,
        mesh: Any = None,
        discovery: str | None = None,
        policy: Policy | Mapping[str, Any] | str | None = None,
        policy_server: str | None = None,
        timeout: Any = _NOT_GIVEN,
        **httpx_arguments: Any,
    ) -> None:
        arguments = self._prepare(target, mesh, discovery, policy, policy_server, timeout, httpx_arguments)
        settings = self._settings(arguments)

        def meshed(foreign: httpx.AsyncBaseTransport | None, balanced: bool) -> AsyncMeshTransport:
            runtime = self._mesh if balanced else self._mesh.unbalanced()
            return AsyncMeshTransport(runtime, AsyncWires(runtime, settings, foreign))

        mounts = dict(arguments.pop("mounts", None) or {})
        proxy = arguments.pop("proxy", None)
        if proxy is not None:
            mounts.setdefault(
                "all://", httpx.AsyncHTTPTransport(proxy=proxy, **_transport_arguments(arguments))
            )
        arguments["mounts"] = {
            pattern: None if one is None else meshed(one, False) for pattern, one in mounts.items()
        }
        foreign = arguments.pop("transport", None)
        arguments["transport"] = meshed(foreign, foreign is None or discovery is not None)
        super().__init__(**arguments)

    async def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """As httpx's."""
        self._opened(request, stream)
        return await super().send(request, stream=stream, **arguments)

    async def aclose(self) -> None:
        """As httpx's; a private mesh closes too."""
        await super().aclose()
        self._mesh.returned(self._own)

    async def __aexit__(self, *details: Any) -> None:
        await super().__aexit__(*details)
        self._mesh.returned(self._own)


def _transport_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that httpx's own transports share with its clients."""
    return {name: arguments[name] for name in _WIRE_ARGUMENTS if name in arguments}
