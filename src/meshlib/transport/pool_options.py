"""PoolOptions: what every connection pool of one wire is made with."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshlib.transport.pooling import Pooling

__all__ = ["PoolOptions"]


class PoolOptions:
    """Fixed for a wire. `proxy` is a URL, for hosts that are passed through; `max_idle` None keeps all."""

    __slots__ = ("http1", "http2", "idle", "max_age", "max_connections", "max_idle", "proxy", "ssl_context")

    def __init__(
        self,
        *,
        max_connections: int | None = 1024,
        max_idle: int | None = None,
        idle: float | None = 55.0,
        max_age: Callable[[], float] | None = None,
        http1: bool = True,
        http2: bool = False,
        ssl_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        proxy: str | None = None,
    ) -> None:
        self.max_connections: int | None = max_connections
        self.max_idle: int | None = max_idle
        self.idle: float | None = idle
        self.max_age: Callable[[], float] | None = max_age
        self.http1: bool = http1
        self.http2: bool = http2
        self.ssl_context: Callable[[], ssl.SSLContext] = ssl_context
        self.proxy: str | None = proxy

    def pool(self, pooling: Pooling, context: ssl.SSLContext | None, backend: Any) -> Any:
        """A pool for threads."""
        arguments = self._arguments(context, backend)
        library = pooling.module
        if self.proxy is None:
            return library.ConnectionPool(**arguments)
        kind = library.SOCKSProxy if self._socks() else library.HTTPProxy
        return kind(**arguments, **self._proxied(pooling))

    def async_pool(self, pooling: Pooling, context: ssl.SSLContext | None, backend: Any) -> Any:
        """A pool for an event loop."""
        arguments = self._arguments(context, backend)
        if self.proxy is None:
            return pooling.guarded(**arguments)
        kind = pooling.guarded_socks if self._socks() else pooling.guarded_proxy
        return kind(**arguments, **self._proxied(pooling))

    def _arguments(self, context: ssl.SSLContext | None, backend: Any) -> dict[str, Any]:
        return {
            "ssl_context": context,
            "network_backend": backend,
            "max_connections": self.max_connections,
            "max_keepalive_connections": self.max_idle,
            "keepalive_expiry": self.idle,
            "http1": self.http1,
            "http2": self.http2,
        }

    def _socks(self) -> bool:
        return str(self.proxy).startswith("socks")

    def _proxied(self, pooling: Pooling) -> dict[str, Any]:
        # The family takes the credentials out of the URL, which its pools would put into the request line.
        proxy = pooling.family.Proxy(str(self.proxy))
        url = proxy.url
        found: dict[str, Any] = {
            "proxy_auth": proxy.raw_auth,
            "proxy_url": pooling.module.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
        }
        if not self._socks():
            found["proxy_headers"] = proxy.headers.raw
        return found
