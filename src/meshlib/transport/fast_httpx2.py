"""The kinds of client that the family httpx2 has, for the fast way through them."""

from __future__ import annotations

import httpx2
from httpx2._client import ClientState

from meshlib.transport.fast_profile import ClientKind
from meshlib.transport.lazy_httpx2 import Request, Response

__all__ = ["ASYNC_CLIENT", "CLIENT"]

CLIENT = ClientKind(httpx2.Client, httpx2, Request, Response, ClientState)
ASYNC_CLIENT = ClientKind(httpx2.AsyncClient, httpx2, Request, Response, ClientState)
