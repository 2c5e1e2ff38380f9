"""Errors of the connection pools as the family's, by name, as the family's own transports do it."""

from __future__ import annotations

from typing import Any

__all__ = ["Translation"]

_NAMES = (
    "ConnectTimeout",
    "ReadTimeout",
    "WriteTimeout",
    "PoolTimeout",
    "ConnectError",
    "ReadError",
    "WriteError",
    "ProxyError",
    "UnsupportedProtocol",
    "LocalProtocolError",
    "RemoteProtocolError",
)


class Translation:
    """From the names of `source` (httpcore, httpcore2) to those of `family`. `errors` are what it translates."""

    __slots__ = ("_table", "errors")

    def __init__(self, source: Any, family: Any) -> None:
        self._table: dict[type[BaseException], Any] = {
            getattr(source, name): getattr(family, name) for name in _NAMES
        }
        self.errors: tuple[type[BaseException], ...] = tuple(self._table)

    def __call__(self, error: BaseException, request: Any) -> BaseException:
        """The family's error of the same name; anything that is not of `source` comes back unchanged."""
        for kind in type(error).__mro__:
            found = self._table.get(kind)
            if found is not None:
                made: BaseException = found(str(error), request=request)
                return made
        return error
