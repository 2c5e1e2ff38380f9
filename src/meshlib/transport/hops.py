"""SharedAuth: an authentication flow whose every request is a hop of the one call it belongs to.

httpx copies extensions to redirects, but a flow may send requests of its own making (a token, a challenge): they too get
the call's options, so that the whole exchange has one deadline and makes one deposit in the retry budget.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from meshlib.transport.options import EXTENSION, CallOptions

__all__ = ["SharedAuth", "shared"]


def shared(auth: Any, options: CallOptions) -> Any:
    """`auth` wrapped when its flow can be longer than one request; anything else as it is."""
    one_request = auth is None or not isinstance(auth, httpx.Auth) or isinstance(auth, httpx.BasicAuth)
    return auth if one_request else SharedAuth(auth, options)


class SharedAuth(httpx.Auth):
    """Delegates to `inner` and marks what it yields."""

    def __init__(self, inner: httpx.Auth, options: CallOptions) -> None:
        self._inner = inner
        self._options = options

    def _marked(self, request: httpx.Request) -> httpx.Request:
        if not isinstance(request.extensions.get(EXTENSION), CallOptions):
            request.extensions = {**request.extensions, EXTENSION: self._options}
        return request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """As httpx.Auth's."""
        flow = self._inner.sync_auth_flow(request)
        try:
            following = next(flow)
            while True:
                response = yield self._marked(following)
                following = flow.send(response)
        except StopIteration:
            return
        finally:
            flow.close()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """As httpx.Auth's."""
        flow = self._inner.async_auth_flow(request)
        try:
            following = await anext(flow)
            while True:
                response = yield self._marked(following)
                following = await flow.asend(response)
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()
