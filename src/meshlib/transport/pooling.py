"""Pooling: the connection pools below one client family, httpcore below httpx and httpcore2 below httpx2."""

from __future__ import annotations

from typing import Any

from meshlib.transport.translate import Translation

__all__ = ["Pooling"]


class Pooling:
    """`module` is the pools' library, `family` the client library above it.

    The three guarded classes are the library's own asyncio pools (direct, through a proxy, through SOCKS), see
    `transport.guarded`; `translate` makes the family's errors of the library's `errors`.
    """

    __slots__ = ("errors", "family", "guarded", "guarded_proxy", "guarded_socks", "module", "translate")

    def __init__(
        self, module: Any, family: Any, *, guarded: Any, guarded_proxy: Any, guarded_socks: Any
    ) -> None:
        self.module: Any = module
        self.family: Any = family
        self.guarded: Any = guarded
        self.guarded_proxy: Any = guarded_proxy
        self.guarded_socks: Any = guarded_socks
        self.translate: Translation = Translation(module, family)
        self.errors: tuple[type[BaseException], ...] = self.translate.errors
