"""The lazy request and response of the family httpx."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import httpx
from httpx._client import BoundAsyncStream, BoundSyncStream

from meshlib.transport.lazy import Lazy
from meshlib.transport.lazy_request import LazyRequest
from meshlib.transport.lazy_response import LazyResponse
from meshlib.transport.response import Told

__all__ = ["Request", "Response"]


class Request(LazyRequest, httpx.Request):
    """httpx.Request, made when looked at."""

    family: ClassVar[Any] = httpx


class Response(LazyResponse, Told, httpx.Response):
    """httpx.Response of a buffered call, made when looked at."""

    family: ClassVar[Any] = httpx
    status_error: ClassVar[type[Any]] = httpx.HTTPStatusError

    def bound_stream(self, stream: Any) -> Any:
        """See `LazyResponse`."""
        ending = self._ending
        kind: Any = BoundSyncStream if ending is None or not ending.asynchronous else BoundAsyncStream
        return kind(stream, self, 0.0)

    @Lazy
    def _elapsed(self) -> timedelta:
        if not self._is_over():
            raise AttributeError("_elapsed")  # not read or closed yet
        return self.elapsed_time()

    def __getstate__(self) -> dict[str, Any]:
        hasattr(self, "_elapsed")
        return super().__getstate__()
