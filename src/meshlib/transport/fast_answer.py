"""Answered: the family's own code goes on from an answer that came by the fast way, when there is more to do than hand it out.

A redirect, an answer that a user's transport made, or one that somebody has looked at: what the family does with it (cookies,
history, the next request, reading, errors) is done by its own methods, which are called with this in place of the client.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Answered", "AsyncAnswered"]


class _Answered:
    """The client in everything, but that the first request it sends is answered already."""

    def __init__(self, client: Any, kind: Any, response: Any, started: float) -> None:
        self._client = client
        self._kind = kind
        self._response = response
        self._started = started
        """By time.perf_counter, when the request was sent."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _transport_for_url(self, url: Any) -> Any:
        return self if self._response is not None else self._client._transport_for_url(url)

    def _taken(self) -> Any:
        response, self._response = self._response, None
        return response

    def _timed(self, response: Any) -> Any:
        """With the stream that measures `elapsed` begun when the request was."""
        if self._started:
            response.stream._start = self._started
            self._started = 0.0
        return response


class Answered(_Answered):
    """For a Client."""

    def handle_request(self, request: Any) -> Any:
        """The answer, to the one request that asks."""
        return self._taken()

    def _send_single_request(self, request: Any) -> Any:
        return self._timed(self._kind.client._send_single_request(self, request))

    def result(self, request: Any, follow_redirects: bool) -> Any:
        """What `send` returns for `request`."""
        response = self._kind.client._send_handling_redirects(
            self, request, follow_redirects=follow_redirects, history=[]
        )
        try:
            response.read()
        except BaseException:
            response.close()
            raise
        return response


class AsyncAnswered(_Answered):
    """For an AsyncClient."""

    async def handle_async_request(self, request: Any) -> Any:
        """The answer, to the one request that asks."""
        return self._taken()

    async def _send_single_request(self, request: Any) -> Any:
        return self._timed(await self._kind.client._send_single_request(self, request))

    async def result(self, request: Any, follow_redirects: bool) -> Any:
        """What `send` returns for `request`."""
        response = await self._kind.client._send_handling_redirects(
            self, request, follow_redirects=follow_redirects, history=[]
        )
        try:
            await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response
