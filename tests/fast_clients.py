"""Clients on the fast way, over transports that answer at once; each with the family's own client beside it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2

from meshlib import Mesh
from meshlib.transport import (
    family_httpx,
    family_httpx2,
    fast_httpx,
    fast_httpx2,
    lazy_httpx,
    lazy_httpx2,
)
from meshlib.transport.client_mixin import AsyncClientMixin, SyncClientMixin
from meshlib.transport.fast import AsyncFast, SyncFast

ATTEMPT: Any = SimpleNamespace(call=SimpleNamespace(plan=None), trail=lambda: ())
"""The attempt of answers that none led to."""


class HttpxClient(SyncFast[Any, Any], SyncClientMixin[Any, Any, Any], httpx.Client):
    """As meshlib.Client."""

    binding = family_httpx.BINDING
    meshed = family_httpx.MeshTransport
    kind = fast_httpx.CLIENT
    __module__ = "meshlib.client"


class AsyncHttpxClient(AsyncFast[Any, Any], AsyncClientMixin[Any, Any, Any], httpx.AsyncClient):
    """As meshlib.AsyncClient."""

    binding = family_httpx.BINDING
    meshed = family_httpx.AsyncMeshTransport
    kind = fast_httpx.ASYNC_CLIENT
    __module__ = "meshlib.client"


class Httpx2Client(SyncFast[Any, Any], SyncClientMixin[Any, Any, Any], httpx2.Client):
    """As meshlib.httpx2.Client."""

    binding = family_httpx2.BINDING
    meshed = family_httpx2.MeshTransport
    kind = fast_httpx2.CLIENT
    __module__ = "meshlib.client"


class AsyncHttpx2Client(AsyncFast[Any, Any], AsyncClientMixin[Any, Any, Any], httpx2.AsyncClient):
    """As meshlib.httpx2.AsyncClient."""

    binding = family_httpx2.BINDING
    meshed = family_httpx2.AsyncMeshTransport
    kind = fast_httpx2.ASYNC_CLIENT
    __module__ = "meshlib.client"


class Answer:
    """One answer, as our wire makes it and as a transport of the family would."""

    def __init__(
        self,
        status: int = 200,
        content: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
        reason: bytes = b"OK",
        version: bytes = b"HTTP/1.1",
    ) -> None:
        self.status = status
        self.content = content
        self.headers = headers or []
        self.reason = reason
        self.version = version

    def lazy(self, family: Family, request: Any) -> Any:
        return family.lazy.Response.made(
            ATTEMPT,
            self.status,
            self.reason,
            list(self.headers),
            self.content,
            request,
            self.version,
            sets_cookies=any(name.lower() == b"set-cookie" for name, _ in self.headers),
        )

    def plain(self, family: Family, request: Any) -> Any:
        return family.module.Response(
            self.status,
            headers=list(self.headers),
            stream=family.module.ByteStream(self.content),
            extensions={"http_version": self.version, "reason_phrase": self.reason},
        )


class Transport:
    """For both colours: answers each request by the next of `answers`, the last one again and again."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.requests: list[Any] = []

    def handle_request(self, request: Any) -> Any:
        self.requests.append(request)
        return self.answer(request)

    async def handle_async_request(self, request: Any) -> Any:
        return self.handle_request(request)

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class Family:
    """One family: its module, our lazy classes, our clients and its own."""

    def __init__(self, module: Any, lazy: Any, client: Any, async_client: Any) -> None:
        self.module = module
        self.lazy = lazy
        self._client = client
        self._async_client = async_client

    def __repr__(self) -> str:
        return str(self.module.__name__)

    def client_class(self, asynchronous: bool) -> Any:
        """Our client of a colour."""
        return self._async_client if asynchronous else self._client

    def with_client(self, client: Any, asynchronous: bool) -> Family:
        """The same with another client of ours."""
        pair = (self._client, client) if asynchronous else (client, self._async_client)
        return Family(self.module, self.lazy, *pair)

    def ours(self, answers: list[Answer], asynchronous: bool = False, **arguments: Any) -> Any:
        """Our client, opened; `client.sent` is what its transport got."""
        client = self.client_class(asynchronous)(mesh=MESH, **arguments)
        left = _following(answers)
        transport = Transport(lambda request: next(left).lazy(self, request))
        client._transport = transport
        client._state = client.kind.opened
        client.sent = transport.requests
        return client

    def theirs(self, answers: list[Answer], asynchronous: bool = False, **arguments: Any) -> Any:
        """The family's own."""
        left = _following(answers)
        transport = Transport(lambda request: next(left).plain(self, request))
        kind = self.module.AsyncClient if asynchronous else self.module.Client
        arguments.setdefault("timeout", None)  # ours are bounded by the policy
        client = kind(transport=transport, **arguments)
        client.sent = transport.requests
        return client


MESH = Mesh(telemetry=False)
HTTPX = Family(httpx, lazy_httpx, HttpxClient, AsyncHttpxClient)
HTTPX2 = Family(httpx2, lazy_httpx2, Httpx2Client, AsyncHttpx2Client)
FAMILIES = (HTTPX, HTTPX2)


def _following(answers: list[Answer]) -> Iterator[Answer]:
    yield from answers
    while True:
        yield answers[-1]


# What an object shows.

_METHODS = frozenset(
    {
        "close",
        "aclose",
        "read",
        "aread",
        "iter_bytes",
        "iter_text",
        "iter_lines",
        "iter_raw",
        "aiter_bytes",
        "aiter_text",
        "aiter_lines",
        "aiter_raw",
        "json",
        "raise_for_status",
    }
)


def shown(value: Any) -> Any:
    """A value that compares as the thing does which a user sees."""
    kind = type(value)
    if kind.__name__ == "URL":
        return ("URL", str(value), value.raw_path, value.host, value.port, value.fragment, value.userinfo)
    if kind.__name__ == "Headers":
        return ("Headers", value.raw, value.encoding)
    if kind.__name__ == "Cookies":
        return ("Cookies", sorted((c.name, c.value, c.domain, c.path) for c in value.jar))
    if kind.__name__ == "Request":
        return ("Request", value.method, str(value.url), value.headers.raw, repr(value))
    if kind.__name__ == "Response":
        return ("Response", value.status_code, shown(value.headers), shown(value._request), repr(value))
    if kind.__name__ == "timedelta":
        return ("timedelta", value.total_seconds() >= 0.0)
    if kind.__name__.endswith("Stream"):
        return ("Stream", kind.__module__, kind.__name__)
    if kind is list:
        return [shown(one) for one in value]
    if kind is dict:
        return {name: shown(one) for name, one in value.items() if name != "meshlib"}
    return value


def tried(call: Callable[[], Any]) -> Any:
    """The result of a call, or what it raised."""
    try:
        return shown(call())
    except Exception as error:
        return (type(error).__name__, str(error))


def attributes(plain: type, instance: Any) -> list[str]:
    """The public names that are not methods."""
    names = {name for name in (*dir(plain), *vars(instance)) if not name.startswith("_")}
    return sorted(names - _METHODS)


def copies(instance: Any) -> dict[str, Any]:
    """The same thing, pickled and copied."""
    made = {f"pickle {protocol}": pickle.loads(pickle.dumps(instance, protocol)) for protocol in (0, 2, 5)}
    return {**made, "copy": copy.copy(instance), "deepcopy": copy.deepcopy(instance)}
