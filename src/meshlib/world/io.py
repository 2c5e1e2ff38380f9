"""World: the real `core.io.IO`, and the per-service view of it whose sleep a refresh cuts short."""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

from meshlib.core.io import Answer, Family, Reply, Server
from meshlib.world import clock, fork
from meshlib.world.background import Background, background
from meshlib.world.dns import Lookup
from meshlib.world.files import Files
from meshlib.world.http import Http

__all__ = ["CLOCK_CHECK", "KICKS_APART", "Scope", "World"]

KICKS_APART = 1.0
"""Seconds between two early wake-ups of one scope: a storm of failed connects is one re-resolution a second."""

CLOCK_CHECK = 5.0
"""Seconds between two looks at the clocks, while any scope lives."""

# Shorter sleeps are the pauses of sliced work: waking one would only lose the wake-up.
_UNBROKEN = 0.01


class World:
    """Clocks, chance, files, names and HTTP, all on one background loop.

    Its coroutines run on that loop only; `scope` and the clocks may be used from any thread. `sleep` of the World
    itself is never cut short. `random` is the owner's generator, so that one seed governs everything.
    """

    def __init__(
        self,
        on: Background | None = None,
        *,
        random: Callable[[], float] = random.random,
        lookup: Lookup | None = None,
        monotonic: Callable[[], float] = clock.monotonic,
        wall: Callable[[], float] = clock.wall,
    ) -> None:
        self.background: Background = on if on is not None else background()
        self.now = monotonic
        self.wall = wall
        self.random = random
        self.files: Files = Files()
        self.lookup: Lookup = lookup if lookup is not None else Lookup(self.files)
        self.http: Http = Http()
        self._jumps = clock.JumpDetector(monotonic, wall)
        self._scopes: weakref.WeakSet[Scope] = weakref.WeakSet()
        self._watching: asyncio.AbstractEventLoop | None = None
        fork.watch(self)

    def after_in_child(self) -> None:
        """Scopes and the look at the clocks belong to the parent's loop."""
        fork.abandon(self._scopes, self._watching)
        self._scopes = weakref.WeakSet()
        self._watching = None

    def scope(self, service: str) -> Scope:
        """The IO of one watch. Its `kick()` ends a sleep early; make one per watch and drop it with it."""
        return Scope(self, service)

    async def sleep(self, seconds: float) -> None:
        """Wait, whatever happens."""
        await asyncio.sleep(seconds)

    async def addresses(
        self, name: str, *, family: Family = "auto", servers: Sequence[Server] = ()
    ) -> Answer:
        """See `world.dns.Lookup.addresses`."""
        return await self.lookup.addresses(name, family=family, servers=servers)

    async def services(self, name: str, *, servers: Sequence[Server] = ()) -> Answer:
        """See `world.dns.Lookup.services`."""
        return await self.lookup.services(name, servers=servers)

    async def read(self, path: str) -> bytes:
        """See `world.files.Files.read`: the same object again means that nothing changed."""
        return await self.files.read(path)

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """See `world.http.Http.fetch`."""
        return await self.http.fetch(url, headers=headers, timeout=timeout)

    def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, idle: float = 60.0
    ) -> AsyncIterator[bytes]:
        """See `world.http.Http.stream`."""
        return self.http.stream(url, headers=headers, idle=idle)

    def _sleeping(self, scope: Scope) -> None:
        """A scope sleeps on the running loop: watch the clocks on its behalf."""
        loop = asyncio.get_running_loop()
        self._scopes.add(scope)
        if self._watching is not loop:
            self._watching = loop
            self._jumps.jumped()
            loop.call_later(CLOCK_CHECK, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watching is not loop:
            return
        scopes = list(self._scopes)
        if not scopes:
            self._watching = None
            return
        if self._jumps.jumped():
            for scope in scopes:
                scope._wake()
        loop.call_later(CLOCK_CHECK, self._look, loop)


class Scope:
    """The World as one watch of one service sees it: the same IO, with a sleep that `kick` ends early."""

    def __init__(self, world: World, service: str) -> None:
        self.service = service
        self.now: Callable[[], float] = world.now
        self.wall: Callable[[], float] = world.wall
        self.random: Callable[[], float] = world.random
        self.addresses: Callable[..., Coroutine[Any, Any, Answer]] = world.addresses
        self.services: Callable[..., Coroutine[Any, Any, Answer]] = world.services
        self.read: Callable[[str], Coroutine[Any, Any, bytes]] = world.read
        self.fetch: Callable[..., Coroutine[Any, Any, Reply]] = world.fetch
        self.stream: Callable[..., AsyncIterator[bytes]] = world.stream
        self._world = world
        self._sleeper: asyncio.Future[None] | None = None
        self._pending = False
        self._delayed: asyncio.TimerHandle | None = None
        self._woken = float("-inf")

    def kick(self) -> None:
        """Look again soon: ends the present sleep, or the next one when the watch is busy right now.

        Any thread; returns at once. At most one early wake-up per second; further kicks within that second count as
        one at its end, so that none is lost.
        """
        self._world.background.call_soon(self._wake)

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or until a kick or a jump of the clock. Pauses under 10 ms are never cut short."""
        if seconds < _UNBROKEN:
            await asyncio.sleep(seconds)
            return
        self._world._sleeping(self)
        loop = asyncio.get_running_loop()
        sleeper = self._sleeper = loop.create_future()
        timer = loop.call_later(seconds, _end, sleeper)
        if self._pending:
            self._wake()
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleeper = None
            if self._delayed is not None:
                self._delayed.cancel()
                self._delayed = None

    def _wake(self) -> None:
        """On the loop: end the sleep now, when a second has passed since the last time, or remember to."""
        sleeper = self._sleeper
        self._pending = True
        if sleeper is None or self._delayed is not None:
            return
        wait = self._woken + KICKS_APART - self.now()
        if wait > 0:
            self._delayed = asyncio.get_running_loop().call_later(wait, self._wake_now)
        else:
            self._wake_now()

    def _wake_now(self) -> None:
        self._delayed = None
        if self._sleeper is not None:
            self._woken = self.now()
            self._pending = False
            _end(self._sleeper)


def _end(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
