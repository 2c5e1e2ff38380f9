"""Putting hooks around calls and attempts. Used only for plans that have hooks; all others never come here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from meshlib.core.hook import AsyncHook, Hook

__all__ = ["around", "around_send"]

AnyHook = Hook | AsyncHook


def around(hooks: Sequence[AnyHook], call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`call(request)` inside the hooks' `around_call`, the first hook outermost. Async hooks with an async `call`."""
    for hook in reversed(hooks):
        call = _call(hook, call)
    return call


def around_send(hooks: Sequence[AnyHook], send: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`send(attempt, request)` inside the hooks' `around_attempt`, the first hook outermost."""
    for hook in reversed(hooks):
        send = _send(hook, send)
    return send


def _call(hook: AnyHook, proceed: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda request: hook.around_call(request, proceed)


def _send(hook: AnyHook, send: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def sent(attempt: Any, request: Any) -> Any:
        return hook.around_attempt(attempt, request, lambda changed: send(attempt, changed))

    return sent
