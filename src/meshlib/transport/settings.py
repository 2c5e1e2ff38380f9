"""WireSettings: the client arguments that decide how connections are made."""

from __future__ import annotations

import ssl
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from meshlib.transport.pool_options import PoolOptions

if TYPE_CHECKING:
    from meshlib.runtime import Runtime
    from meshlib.transport.binding import Binding

__all__ = ["WireSettings"]


class WireSettings:
    """`verify`, `cert`, `trust_env`, `http1`, `http2`, `limits` as httpx's clients take them.

    Clients whose settings are equal share connections; an SSL context is equal only to itself.
    """

    __slots__ = ("cert", "http1", "http2", "key", "limits", "trust_env", "verify")

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: Any = None,
    ) -> None:
        self.verify: ssl.SSLContext | str | bool = verify
        self.cert: Any = cert
        self.trust_env: bool = trust_env
        self.http1: bool = http1
        self.http2: bool = http2
        self.limits: Any = limits
        shown = None if limits is None else repr(limits)
        identity = verify if isinstance(verify, str | bool) else id(verify)
        self.key: Hashable = (identity, repr(cert), trust_env, http1, http2, shown)

    def pool(self, binding: Binding, service: str, runtime: Runtime, proxy: str | None) -> PoolOptions:
        """The settings of the pools for a service: the client's `limits` win over the policy's `connections`."""
        connections = runtime.connections(service)
        most: int | None = connections.max
        idle: float | None = connections.idle
        keep: int | None = None
        if self.limits is not None:
            most, idle = self.limits.max_connections, self.limits.keepalive_expiry
            keep = self.limits.max_keepalive_connections
        return PoolOptions(
            max_connections=most,
            max_idle=keep,
            idle=idle,
            max_age=runtime.max_age(connections),
            http1=self.http1,
            http2=self.http2,
            ssl_context=lambda: self.context(binding),
            proxy=proxy,
        )

    def context(self, binding: Binding) -> ssl.SSLContext:
        """The SSL context of one wire, as the family makes it (each trusts in its own way); the user's own when `verify` is
        one."""
        made: ssl.SSLContext = binding.module.create_ssl_context(
            verify=self.verify, cert=self.cert, trust_env=self.trust_env
        )
        return made
