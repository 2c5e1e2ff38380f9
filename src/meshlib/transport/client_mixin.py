"""What the clients of all families share: the arguments' meaning for the mesh, and what is said to the transport.

What a family documents (auth, cookies, redirects, event hooks, base_url, streaming) is the family's own code. The mixin only
decides what the arguments mean for the mesh and tells the transport what the family has no words for: the whole call's
deadline, and whether the body is wanted whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from meshlib.core.endpoint import address_text
from meshlib.core.uri import service_key
from meshlib.errors import ConfigError
from meshlib.runtime import Runtime, borrowed
from meshlib.transport.hops import shared
from meshlib.transport.options import EXTENSION, POLICYS, CallOptions, WholeTimeout, whole_timeout
from meshlib.transport.settings import WireSettings
from meshlib.transport.transports import AsyncMeshed, Meshed

if TYPE_CHECKING:
    from meshlib.policy import Policy
    from meshlib.transport.binding import Binding

__all__ = ["AsyncClientMixin", "ClientMixin", "SyncClientMixin"]

Request = TypeVar("Request")
Response = TypeVar("Response")
Timeout = TypeVar("Timeout")

_WIRE_ARGUMENTS = ("verify", "cert", "trust_env", "http1", "http2", "limits")


class ClientMixin(Generic[Request, Response, Timeout]):
    """What both colours share. `_own` says whether the mesh is this client's alone and closes with it."""

    binding: ClassVar[Binding]
    meshed: ClassVar[type[Meshed[Any, Any] | AsyncMeshed[Any, Any]]]
    """The family's transport on the mesh, of this client's colour."""
    own_transport: ClassVar[str]
    """What the family calls its own transport of this colour."""

    def __init__(
        self,
        target: str = "",
        *,
        mesh: Any = None,
        discovery: str | None = None,
        policy: Policy | Mapping[str, Any] | str | None = None,
        policy_server: str | None = None,
        timeout: Any = POLICYS,
        **arguments: Any,
    ) -> None:
        kind = type(self).__name__
        self.binding.border.refuse(kind, timeout, *arguments.values())
        self._mesh: Runtime
        self._own: bool
        self._mesh, self._own = borrowed(mesh, discovery, policy, policy_server, target)
        try:
            if target:
                self._aim(target, discovery, arguments)
            self._whole: WholeTimeout = whole_timeout(self.binding, timeout)
            arguments["timeout"] = self._per_operation(timeout)
            self._connect(discovery is not None, arguments)
            super().__init__(**arguments)
        except BaseException:
            self._mesh.returned(self._own)
            raise

    def _aim(self, target: str, discovery: str | None, arguments: dict[str, Any]) -> None:
        """The target as the base URL."""
        if arguments.get("base_url"):
            raise ConfigError("target and base_url name the same thing twice: give one of them")
        name = service_key(target)
        arguments["base_url"] = f"{name.scheme}://{address_text(name.host, name.port or 0)}{name.path}"
        if discovery is not None:
            self._mesh.introduce(name, discovery)

    def _connect(self, balanced: bool, arguments: dict[str, Any]) -> None:
        """The mesh below everything that the family would send through: its transport, proxies and mounts."""
        given = {name: arguments[name] for name in _WIRE_ARGUMENTS if name in arguments}
        settings = WireSettings(**given)
        mounts: dict[str, Any] = {}
        proxy = arguments.pop("proxy", None)
        if proxy is not None:
            make = getattr(self.binding.module, self.own_transport)
            mounts["all://"] = self._on_mesh(settings, lambda: make(proxy=proxy, **given), False)
        for pattern, mounted in (arguments.pop("mounts", None) or {}).items():
            mounts[pattern] = (
                None if mounted is None else self._on_mesh(settings, self._given(mounted), False)
            )
        own = arguments.pop("transport", None)
        foreign = None if own is None else self._given(own)
        arguments["transport"] = self._on_mesh(settings, foreign, own is None or balanced)
        arguments["mounts"] = mounts

    def _on_mesh(self, settings: WireSettings, foreign: Callable[[], Any] | None, balanced: bool) -> Any:
        return self.meshed(self._mesh if balanced else self._mesh.unbalanced(), settings, foreign)

    def _given(self, transport: Any) -> Callable[[], Any]:
        """The user's own transport, also in the child of a fork, where it is theirs to look after."""
        self.binding.border.refuse("transport=", transport)
        if isinstance(transport, Meshed | AsyncMeshed):
            raise ConfigError(
                "transport= is a meshlib transport already: a call would run through two engines; leave it out, "
                f"or give it to {self.binding.name}.Client"
            )
        return lambda: transport

    def _per_operation(self, timeout: Any) -> Any:
        """What of `timeout` is the family's business: its four timeouts, else none of its own."""
        return timeout if isinstance(timeout, self.binding.Timeout | tuple) else None

    # --- what the family's classes are asked for, with the mesh's meaning --------------------------------------------------

    @property
    def timeout(self) -> Timeout:
        """The family's four timeouts. Setting a number or None sets the whole call's deadline instead."""
        found: Timeout = super().timeout  # type: ignore[misc]
        return found

    @timeout.setter
    def timeout(self, timeout: Any) -> None:
        self._whole = whole_timeout(self.binding, timeout)
        super(ClientMixin, type(self)).timeout.fset(self, self._per_operation(timeout))  # type: ignore[misc]

    def build_request(self, method: str, url: Any, **arguments: Any) -> Request:
        """As the family's; `timeout=` as a number (or None) bounds the whole call."""
        binding = self.binding
        binding.border.refuse("a request", url, *arguments.values())
        timeout = arguments.get("timeout", binding.not_given)
        if timeout is binding.not_given:
            plain: Request = super().build_request(method, url, **arguments)  # type: ignore[misc]
            return plain
        whole = whole_timeout(binding, timeout)
        arguments["timeout"] = self._per_operation(timeout)
        request = super().build_request(method, url, **arguments)  # type: ignore[misc]
        # A new dict, because the present one may be the caller's.
        request.extensions = {**request.extensions, EXTENSION: whole}
        made: Request = request
        return made

    def _opened(self, request: Any, stream: bool, arguments: dict[str, Any]) -> None:
        """Begin a logical call: its deadline starts here and is shared by all hops."""
        binding = self.binding
        if not isinstance(request, binding.Request):
            binding.border.request(request)
        given = request.extensions.get(EXTENSION)
        if isinstance(given, CallOptions):
            given = given.whole
        whole = given if isinstance(given, WholeTimeout) else self._whole
        options = CallOptions(stream, whole.deadline(self._mesh.clock()), whole)
        # A copy, because a request built once may be sent many times and by several threads.
        request.extensions = {**request.extensions, EXTENSION: options}
        auth = arguments.get("auth", binding.not_given)
        if auth is binding.not_given:
            auth = self.auth  # type: ignore[attr-defined]
        if auth is not None:
            binding.border.refuse("auth=", auth)
            wrapped = shared(binding, auth, options)
            if wrapped is not auth:
                arguments["auth"] = wrapped


class SyncClientMixin(ClientMixin[Request, Response, Timeout]):
    """For a family's Client."""

    own_transport: ClassVar[str] = "HTTPTransport"

    def send(self, request: Request, *, stream: bool = False, **arguments: Any) -> Response:
        """As the family's."""
        self._opened(request, stream, arguments)
        response: Response = super().send(request, stream=stream, **arguments)  # type: ignore[misc]
        return response

    def close(self) -> None:
        """As the family's; a private mesh closes too. Calls under way finish, new ones raise RuntimeError."""
        super().close()  # type: ignore[misc]
        self._mesh.returned(self._own)

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)  # type: ignore[misc]
        self._mesh.returned(self._own)


class AsyncClientMixin(ClientMixin[Request, Response, Timeout]):
    """For a family's AsyncClient."""

    own_transport: ClassVar[str] = "AsyncHTTPTransport"

    async def send(self, request: Request, *, stream: bool = False, **arguments: Any) -> Response:
        """As the family's."""
        self._opened(request, stream, arguments)
        response: Response = await super().send(request, stream=stream, **arguments)  # type: ignore[misc]
        return response

    async def aclose(self) -> None:
        """As the family's; a private mesh closes too. Calls under way finish, new ones raise RuntimeError."""
        await super().aclose()  # type: ignore[misc]
        self._mesh.returned(self._own)

    async def __aexit__(self, *details: Any) -> None:
        await super().__aexit__(*details)  # type: ignore[misc]
        self._mesh.returned(self._own)
