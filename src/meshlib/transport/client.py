"""Client and AsyncClient: real subclasses of httpx's, with the mesh underneath.

What httpx documents (auth, cookies, redirects, event hooks, base_url, streaming) is httpx's own code. The mixin only decides
what the arguments mean for the mesh and tells the transport what httpx has no words for: the whole call's deadline, and
whether the body is wanted whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import httpx

from meshlib.core.endpoint import address_text
from meshlib.core.uri import service_key
from meshlib.errors import ConfigError
from meshlib.runtime import Runtime, borrowed
from meshlib.transport.hops import shared
from meshlib.transport.options import EXTENSION, CallOptions, WholeTimeout, whole_timeout
from meshlib.transport.settings import WireSettings
from meshlib.transport.transports import AsyncMeshTransport, MeshTransport
from meshlib.transport.wires import AsyncWires, Wires

if TYPE_CHECKING:
    from meshlib.policy import Policy

__all__ = ["AsyncClient", "Client"]

_NOT_GIVEN: Any = httpx.USE_CLIENT_DEFAULT
_WIRE_ARGUMENTS = ("verify", "cert", "trust_env", "http1", "http2", "limits")
_OURS = (MeshTransport, AsyncMeshTransport)


class _ClientMixin:
    """What both clients share. `_own` says whether the mesh is this client's alone and closes with it."""

    _mesh: Runtime
    _own: bool
    _whole: WholeTimeout

    def _prepare(
        self, target: str, discovery: str | None, timeout: Any, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Settle target, time and wires; returns httpx's own arguments."""
        if target:
            if arguments.get("base_url"):
                raise ConfigError("target and base_url name the same thing twice: give one of them")
            name = service_key(target)
            arguments["base_url"] = f"{name.scheme}://{address_text(name.host, name.port or 0)}{name.path}"
            if discovery is not None:
                self._mesh.introduce(name, discovery)
        self._whole = whole_timeout(timeout)
        arguments["timeout"] = timeout if isinstance(timeout, httpx.Timeout | tuple) else None
        given = {name: arguments[name] for name in _WIRE_ARGUMENTS if name in arguments}
        settings = WireSettings(**given)
        mounts: dict[str, Any] = {}
        proxy = arguments.pop("proxy", None)
        if proxy is not None:
            mounts["all://"] = self._meshed(settings, lambda: self._proxied(proxy, given), False)
        for pattern, mounted in (arguments.pop("mounts", None) or {}).items():
            mounts[pattern] = None if mounted is None else self._meshed(settings, _given(mounted), False)
        own = arguments.pop("transport", None)
        foreign = None if own is None else _given(own)
        arguments["transport"] = self._meshed(settings, foreign, own is None or discovery is not None)
        arguments["mounts"] = mounts
        return arguments

    def _meshed(self, settings: WireSettings, foreign: Callable[[], Any] | None, balanced: bool) -> Any:
        raise NotImplementedError

    def _proxied(self, proxy: Any, wire: dict[str, Any]) -> Any:
        raise NotImplementedError

    # --- what httpx's classes are asked for, with the mesh's meaning -------------------------------------------------

    @property
    def timeout(self) -> httpx.Timeout:
        """httpx's four timeouts. Setting a number or None sets the whole call's deadline instead."""
        found: httpx.Timeout = super().timeout  # type: ignore[misc]
        return found

    @timeout.setter
    def timeout(self, timeout: Any) -> None:
        self._whole = whole_timeout(timeout)
        per_operation = timeout if isinstance(timeout, httpx.Timeout | tuple) else None
        httpx.Client.timeout.fset(self, per_operation)  # type: ignore[attr-defined]

    def build_request(self, method: str, url: Any, **arguments: Any) -> httpx.Request:
        """As httpx's; `timeout=` as a number (or None) bounds the whole call."""
        timeout = arguments.get("timeout", _NOT_GIVEN)
        if timeout is _NOT_GIVEN:
            request: httpx.Request = super().build_request(method, url, **arguments)  # type: ignore[misc]
            return request
        whole = whole_timeout(timeout)
        if not isinstance(timeout, httpx.Timeout | tuple):
            arguments["timeout"] = None
        request = super().build_request(method, url, **arguments)  # type: ignore[misc]
        # A new dict, because the present one may be the caller's.
        request.extensions = {**request.extensions, EXTENSION: whole}
        return request

    def _opened(self, request: httpx.Request, stream: bool, arguments: dict[str, Any]) -> None:
        """Begin a logical call: its deadline starts here and is shared by all hops."""
        given = request.extensions.get(EXTENSION)
        if isinstance(given, CallOptions):
            given = given.whole
        whole = given if isinstance(given, WholeTimeout) else self._whole
        options = CallOptions(stream, whole.deadline(self._mesh.clock()), whole)
        # A copy, because a request built once may be sent many times and by several threads.
        request.extensions = {**request.extensions, EXTENSION: options}
        auth = arguments.get("auth", _NOT_GIVEN)
        if auth is _NOT_GIVEN:
            auth = self.auth  # type: ignore[attr-defined]
        if auth is not None:
            wrapped = shared(auth, options)
            if wrapped is not auth:
                arguments["auth"] = wrapped


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
        self._mesh, self._own = borrowed(mesh, discovery, policy, policy_server, target)
        try:
            super().__init__(**self._prepare(target, discovery, timeout, httpx_arguments))
        except BaseException:
            self._mesh.returned(self._own)
            raise

    def _meshed(
        self, settings: WireSettings, foreign: Callable[[], httpx.BaseTransport] | None, balanced: bool
    ) -> MeshTransport:
        runtime = self._mesh if balanced else self._mesh.unbalanced()
        return MeshTransport(runtime, Wires(runtime, settings, foreign))

    def _proxied(self, proxy: Any, wire: dict[str, Any]) -> httpx.HTTPTransport:
        return httpx.HTTPTransport(proxy=proxy, **wire)

    def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """As httpx's."""
        self._opened(request, stream, arguments)
        return super().send(request, stream=stream, **arguments)

    def close(self) -> None:
        """As httpx's; a private mesh closes too. Calls under way finish, new ones raise RuntimeError."""
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
        self._mesh, self._own = borrowed(mesh, discovery, policy, policy_server, target)
        try:
            super().__init__(**self._prepare(target, discovery, timeout, httpx_arguments))
        except BaseException:
            self._mesh.returned(self._own)
            raise

    def _meshed(
        self, settings: WireSettings, foreign: Callable[[], httpx.AsyncBaseTransport] | None, balanced: bool
    ) -> AsyncMeshTransport:
        runtime = self._mesh if balanced else self._mesh.unbalanced()
        return AsyncMeshTransport(runtime, AsyncWires(runtime, settings, foreign))

    def _proxied(self, proxy: Any, wire: dict[str, Any]) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(proxy=proxy, **wire)

    async def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """As httpx's."""
        self._opened(request, stream, arguments)
        return await super().send(request, stream=stream, **arguments)

    async def aclose(self) -> None:
        """As httpx's; a private mesh closes too. Calls under way finish, new ones raise RuntimeError."""
        await super().aclose()
        self._mesh.returned(self._own)

    async def __aexit__(self, *details: Any) -> None:
        await super().__aexit__(*details)
        self._mesh.returned(self._own)


def _given(transport: Any) -> Callable[[], Any]:
    """The user's own transport, also in the child of a fork, where it is theirs to look after."""
    if isinstance(transport, _OURS):
        raise ConfigError(
            "transport= is a meshlib transport already: a call would run through two engines; leave it out, "
            "or give it to httpx.Client"
        )
    return lambda: transport
