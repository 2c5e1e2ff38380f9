"""httpcore's errors as httpx's, by name, as httpx's own transports do it."""

from __future__ import annotations

import httpcore
import httpx

__all__ = ["HTTPCORE_ERRORS", "translate"]

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
_TABLE: dict[type[BaseException], type[httpx.TransportError]] = {
    getattr(httpcore, name): getattr(httpx, name) for name in _NAMES
}
HTTPCORE_ERRORS = tuple(_TABLE)


def translate(error: BaseException, request: httpx.Request) -> BaseException:
    """The httpx error of the same name; anything that is not httpcore's comes back unchanged."""
    for kind in type(error).__mro__:
        found = _TABLE.get(kind)
        if found is not None:
            return found(str(error), request=request)
    return error
