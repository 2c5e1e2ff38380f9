"""SharedFlow: an authentication flow whose every request is a hop of the one call it belongs to.

httpx copies extensions to redirects, but a flow may send requests of its own making (a token, a challenge): they too get
the call's options, so that the whole exchange has one deadline and makes one deposit in the retry budget.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from meshlib.transport.options import EXTENSION, CallOptions

if TYPE_CHECKING:
    from meshlib.transport.binding import Binding

__all__ = ["SharedFlow", "shared"]


def shared(binding: Binding, auth: Any, options: CallOptions) -> Any:
    """`auth` wrapped when its flow can be longer than one request; anything else as it is."""
    module = binding.module
    if not isinstance(auth, module.Auth) or isinstance(auth, module.BasicAuth):
        return auth
    return binding.shared_auth(auth, options)


class SharedFlow:
    """Delegates to `inner` and marks what it yields; for a family's class of authentications."""

    def __init__(self, inner: Any, options: CallOptions) -> None:
        self._inner = inner
        self._options = options

    def _marked(self, request: Any) -> Any:
        if not isinstance(request.extensions.get(EXTENSION), CallOptions):
            request.extensions = {**request.extensions, EXTENSION: self._options}
        return request

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """As the family's."""
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

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """As the family's."""
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
