"""Small HTTP requests of the control path: registries and policy servers, outside every mesh policy.

A client of its own on the background loop, without environment proxies: a registry beside this process must not
become unreachable because someone exported HTTP_PROXY for the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from meshlib.core.io import Reply
from meshlib.errors import DiscoveryError
from meshlib.world import fork

if TYPE_CHECKING:
    import httpx

__all__ = ["CONNECT", "LARGEST", "Http"]

CONNECT = 3.0
"""Seconds to connect, TLS included, whatever the time for the whole."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a reply held in memory; more is refused with a DiscoveryError."""


class Http:
    """`fetch` and `stream` of `core.io.IO`. Errors are OSError, TimeoutError or DiscoveryError.

    Any status comes back from `fetch`; redirects are not followed (they would carry a registry's credentials away).
    """

    def __init__(self, *, trust_env: bool = False) -> None:
        self._trust_env = trust_env
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        fork.watch(self)

    def after_in_child(self) -> None:
        """The connections are the parent's: forget the client without closing anything."""
        fork.abandon(self._client, self._loop)
        self._client = self._loop = None

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """One GET, head and body within `timeout` seconds."""
        import httpx

        try:
            async with (
                asyncio.timeout(timeout),
                self._bound().stream(
                    "GET", url, headers=headers, timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT))
                ) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST:
                        raise DiscoveryError(f"{_shown(url)} sent more than {LARGEST} bytes")
                return Reply(status=response.status_code, headers=dict(response.headers), body=bytes(body))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TimeoutError(f"{_shown(url)} did not answer within {timeout:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DiscoveryError(f"{_shown(url)}: {_said(error)}") from error

    async def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, idle: float = 60.0
    ) -> AsyncIterator[bytes]:
        """The chunks of one GET as they come; TimeoutError after `idle` seconds without one, DiscoveryError for a
        status of 300 or more. Ends when the server ends it."""
        import httpx

        limits = httpx.Timeout(CONNECT, read=idle)
        try:
            async with self._bound().stream("GET", url, headers=headers, timeout=limits) as response:
                if response.status_code >= 300:
                    raise DiscoveryError(f"{_shown(url)} answered {response.status_code}")
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.TimeoutException as error:
            raise TimeoutError(f"{_shown(url)} was silent for {idle:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DiscoveryError(f"{_shown(url)}: {_said(error)}") from error

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _bound(self) -> httpx.AsyncClient:
        """The client of the running loop: connections made on another, ended one cannot be used or closed here."""
        import httpx

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = httpx.AsyncClient(
                trust_env=self._trust_env,
                follow_redirects=False,
                limits=httpx.Limits(
                    max_connections=1000, max_keepalive_connections=20, keepalive_expiry=30.0
                ),
            )
            self._loop = loop
        return self._client


def _shown(url: str) -> str:
    """The URL without query and userinfo: both may hold secrets."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "an unreadable URL"


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
