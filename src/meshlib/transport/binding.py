"""Binding: one HTTP client family (httpx today) as the engine's Family. Objects of two families never mix."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import httpx

from meshlib import errors as base_errors
from meshlib.core.outcome import Outcome
from meshlib.core.uri import redact_url
from meshlib.engine.attempt import Attempt
from meshlib.transport import errors
from meshlib.transport.classify import classify_error, classify_response

__all__ = ["HTTPX", "Binding"]


class Binding:
    """Module, error classes and classification of one family; see `engine.family`."""

    transport_errors: tuple[type[BaseException], ...] = (httpx.TransportError, TimeoutError)

    def __init__(self, module: ModuleType, error_classes: ModuleType) -> None:
        self.module = module
        self.errors: Any = error_classes

    def classify(self, reply: httpx.Response) -> Outcome:
        """By status and Retry-After."""
        return classify_response(reply.status_code, reply.headers, time.time)

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        """By the error's class and by whether anything was sent."""
        return classify_error(error, attempt)

    def origin(self, request: httpx.Request) -> tuple[str, str, int | None]:
        """(scheme, host, port) as the URL writes them: what names the service."""
        url = request.url
        return (url.scheme, url.host, url.port)

    def facts(self, request: httpx.Request) -> tuple[str, str, httpx.Headers]:
        """(method, path, headers): what routes match on."""
        return (request.method, request.url.path, request.headers)

    def describe(self, request: httpx.Request) -> str:
        """`GET http://orders/v1/42`."""
        return f"{request.method} {redact_url(str(request.url))}"

    def mapped(self, error: BaseException, request: httpx.Request) -> BaseException:
        """httpx's own error; the attempt's alarm as httpx.ReadTimeout."""
        if isinstance(error, httpx.TransportError):
            error._request = request
            return error
        late = httpx.ReadTimeout(str(error) or "timed out", request=request)
        late.__cause__ = error
        return late

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> base_errors.MeshError:
        """AttemptsExhaustedError, also of the last error's class."""
        kind = httpx.ReadTimeout if isinstance(error, TimeoutError) else type(error)
        return errors.exhausted(kind, message, **facts)

    def attach(self, error: BaseException, request: httpx.Request) -> BaseException:
        """`error.request`, as on every httpx error."""
        error._request = request  # type: ignore[attr-defined]
        return error

    def discard(self, reply: Any) -> None:
        """Close a response that a retry replaces."""
        if isinstance(reply, httpx.Response):
            reply.close()

    async def adiscard(self, reply: Any) -> None:
        """Close a response that a retry replaces."""
        if isinstance(reply, httpx.Response):
            await reply.aclose()


HTTPX = Binding(httpx, errors)
