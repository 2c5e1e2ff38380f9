"""Hooks: the two places where foreign code may stand in the path of a call. Everything else has its fixed place.

    around_call(request, proceed)               outside limit, breaker, retries and deadline accounting of attempts: once a call
    around_attempt(attempt, request, proceed)   directly around the sending of each attempt

A hook calls `proceed` with the request (or another one) and returns its reply (or another one); not calling it answers in the
service's stead. What it raises ends the call, or the attempt when the family counts it as a transport error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["AsyncHook", "Hook"]


class Hook:
    """For calls from threads. Override one or both; the base lets everything through. Shared by all threads."""

    def around_call(self, request: Any, proceed: Callable[[Any], Any]) -> Any:
        """Around the whole call; `proceed(request)` gives its reply or raises what the call ends with."""
        return proceed(request)

    def around_attempt(self, attempt: Any, request: Any, proceed: Callable[[Any], Any]) -> Any:
        """Around one attempt; `attempt.node` says where it goes, `proceed(request)` sends it."""
        return proceed(request)


class AsyncHook:
    """The same for asyncio."""

    async def around_call(self, request: Any, proceed: Callable[[Any], Awaitable[Any]]) -> Any:
        """Around the whole call; `await proceed(request)` gives its reply or raises what the call ends with."""
        return await proceed(request)

    async def around_attempt(
        self, attempt: Any, request: Any, proceed: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        """Around one attempt; `attempt.node` says where it goes, `await proceed(request)` sends it."""
        return await proceed(request)
