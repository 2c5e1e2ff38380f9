"""Binding: one HTTP client family (httpx, httpx2) as the engine's Family. Objects of two families never mix.

Nothing here imports a family: `family_httpx` and `family_httpx2` do, and each is imported only by who uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from meshlib import errors as base_errors
from meshlib.core.outcome import Outcome
from meshlib.core.uri import redact_url
from meshlib.engine.attempt import Attempt
from meshlib.transport.border import Border
from meshlib.transport.classify import ErrorClassifier, classify_response
from meshlib.transport.lazy_request import LazyRequest
from meshlib.transport.pooling import Pooling

__all__ = ["Binding"]


class Binding:
    """Module, request, response, stream and error classes of one family, and how its replies count; see `engine.family`.

    What a wire needs: `module` for the family's names and its errors (`binding.module.ReadTimeout`), `response(attempt, status,
    headers, stream, extensions)`, the stream classes, `leased` and `async_leased` for bodies that stay open. One object per
    family and process; plans and connections are kept by it.
    """

    def __init__(
        self,
        module: Any,
        errors: Any,
        *,
        response: Callable[..., Any],
        leased: Callable[..., Any],
        async_leased: Callable[..., Any],
        shared_auth: Callable[..., Any],
        pooling: Callable[[], Pooling],
        lazy_response: Any = None,
    ) -> None:
        self.name: str = module.__name__
        self.module: Any = module
        self.errors: Any = errors
        self.transport_errors: tuple[type[BaseException], ...] = (module.TransportError, TimeoutError)
        self.classify_error: Callable[[BaseException, Attempt], Outcome] = ErrorClassifier(module)
        self.border: Border = Border(module)
        self.Request: Any = module.Request
        self.Response: Any = module.Response
        self.ByteStream: Any = module.ByteStream
        self.SyncByteStream: Any = module.SyncByteStream
        self.AsyncByteStream: Any = module.AsyncByteStream
        self.Timeout: Any = module.Timeout
        self.not_given: Any = module.USE_CLIENT_DEFAULT
        self.response: Callable[..., Any] = response
        self.leased: Callable[..., Any] = leased
        self.async_leased: Callable[..., Any] = async_leased
        self.shared_auth: Callable[..., Any] = shared_auth
        self.lazy_response: Any = lazy_response
        """The family's `transport.lazy_response`, which `made` makes of a whole answer."""
        self._pooling = pooling

    @cached_property
    def pooling(self) -> Pooling:
        """The family's connection pools, imported when the first wire needs them."""
        return self._pooling()

    # --- what the engine asks ---------------------------------------------------------------------------------------------

    def classify(self, reply: Any) -> Outcome:
        """By status and Retry-After."""
        return classify_response(reply, time.time)

    def origin(self, request: Any) -> tuple[str, str, int | None]:
        """(scheme, host, port) as the URL writes them: what names the service."""
        if isinstance(request, LazyRequest):
            origin = request._origin
            if origin is not None:
                return origin
        url = request.url
        return (url.scheme, url.host, url.port)

    def facts(self, request: Any) -> tuple[str, str, Any]:
        """(method, path, headers): what routes match on."""
        if isinstance(request, LazyRequest):
            return (request.method, request.path(), request.peek())
        return (request.method, request.url.path, request.headers)

    def url_text(self, request: Any) -> str:
        """The URL as text, without building it where it can be avoided."""
        if isinstance(request, LazyRequest):
            base, target = request._base, request._target
            if target is not None:
                return f"{base.scheme}://{base.netloc.decode('ascii')}{target.decode('ascii')}"
        return str(request.url)

    def describe(self, request: Any) -> str:
        """`GET http://orders/v1/42`."""
        return f"{request.method} {redact_url(self.url_text(request))}"

    def mapped(self, error: BaseException, request: Any) -> BaseException:
        """The family's own error; the attempt's alarm as its ReadTimeout."""
        if issubclass(type(error), self.module.TransportError):
            return self.attach(error, request)
        late: BaseException = self.module.ReadTimeout(str(error) or "timed out", request=request)
        late.__cause__ = error
        return late

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> base_errors.MeshError:
        """AttemptsExhaustedError, also of the last error's class."""
        kind = self.module.ReadTimeout if isinstance(error, TimeoutError) else type(error)
        found: base_errors.MeshError = self.errors.AttemptsExhaustedError.like(kind, message, **facts)
        return found

    def attach(self, error: BaseException, request: Any) -> BaseException:
        """`error.request`, as on every error of the family."""
        error._request = request  # type: ignore[attr-defined]
        return error

    def discard(self, reply: Any) -> None:
        """Close a response that a retry replaces."""
        if isinstance(reply, self.Response):
            reply.close()

    async def adiscard(self, reply: Any) -> None:
        """Close a response that a retry replaces."""
        if isinstance(reply, self.Response):
            await reply.aclose()
