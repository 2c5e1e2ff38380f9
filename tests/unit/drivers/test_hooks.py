"""Hooks around calls and attempts."""

import asyncio

from meshlib.core.hook import AsyncHook, Hook
from meshlib.drivers.hooks import around, around_send


class Marks(Hook):
    """Writes its name into the request on the way in and into the reply on the way out."""

    def __init__(self, name):
        self.name = name

    def around_call(self, request, proceed):
        """Mark both ways."""
        return proceed(f"{request}>{self.name}") + f"<{self.name}"

    def around_attempt(self, attempt, request, proceed):
        """Mark with the attempt."""
        return proceed(f"{request}>{self.name}{attempt}") + f"<{self.name}"


def test_the_first_hook_is_the_outermost():
    """In on the way in, out on the way out, for calls and attempts."""
    hooks = [Marks("a"), Hook(), Marks("b")]
    assert around(hooks, lambda request: f"[{request}]")("r") == "[r>a>b]<b<a"
    assert around_send(hooks, lambda attempt, request: f"[{attempt}:{request}]")(1, "r") == "[1:r>a1>b1]<b<a"


def test_a_hook_may_answer_itself():
    """Not proceeding is an answer: nothing below runs."""

    class Cached(Hook):
        """Knows the answer."""

        def around_call(self, request, proceed):
            """Never asks."""
            return "known"

    assert around([Cached()], lambda request: 1 / 0)("r") == "known"


def test_async_hooks_await():
    """The same for coroutines; the base class lets everything through."""

    class Doubled(AsyncHook):
        """Twice the reply."""

        async def around_call(self, request, proceed):
            """Await and double."""
            return 2 * await proceed(request)

        async def around_attempt(self, attempt, request, proceed):
            """Await and double."""
            return 2 * await proceed(request)

    async def call(request):
        return request + 1

    async def send(attempt, request):
        return attempt + request

    assert asyncio.run(around([AsyncHook(), Doubled()], call)(1)) == 4
    assert asyncio.run(around_send([AsyncHook(), Doubled()], send)(1, 1)) == 4
