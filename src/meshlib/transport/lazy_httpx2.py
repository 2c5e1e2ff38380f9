"""The lazy request and response of the family httpx2."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx2
from httpx2._client import BoundAsyncStream, BoundSyncStream

from meshlib.transport.lazy_request import LazyRequest
from meshlib.transport.lazy_response import LazyResponse
from meshlib.transport.response import Told

__all__ = ["Request", "Response"]


class Request(LazyRequest, httpx2.Request):
    """httpx2.Request, made when looked at."""

    family: ClassVar[Any] = httpx2


class Response(LazyResponse, Told, httpx2.Response):
    """httpx2.Response of a buffered call, made when looked at."""

    family: ClassVar[Any] = httpx2
    status_error: ClassVar[type[Any]] = httpx2.HTTPStatusError

    def bound_stream(self, stream: Any) -> Any:
        """See `LazyResponse`."""
        ending = self._ending
        kind: Any = BoundSyncStream if ending is None or not ending.asynchronous else BoundAsyncStream
        bound = kind(stream, 0.0)
        bound.elapsed = self.elapsed_time()  # where this family looks for it
        return bound
