"""The kinds of client that the family httpx has, for the fast way through them."""

from __future__ import annotations

import httpx
from httpx._client import ClientState

from meshlib.transport.fast_profile import ClientKind
from meshlib.transport.lazy_httpx import Request, Response

__all__ = ["ASYNC_CLIENT", "CLIENT"]

CLIENT = ClientKind(httpx.Client, httpx, Request, Response, ClientState)
ASYNC_CLIENT = ClientKind(httpx.AsyncClient, httpx, Request, Response, ClientState)
