"""ScriptedIO: the control path's world, with answers written by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from math import inf
from random import Random
from typing import Any, NamedTuple, TypeVar

from meshlib.core.io import Answer, Family, Reply, Server
from meshlib.testing.clock import FakeClock
from meshlib.testing.script import After, Script, yielded
from meshlib.testing.watching import Watching

__all__ = ["ScriptedIO", "Seen"]

T = TypeVar("T")


class Seen(NamedTuple):
    """One thing the code under test asked the world for, and when (monotonic seconds)."""

    kind: str
    name: str
    at: float
    arguments: Mapping[str, Any]


class ScriptedIO:
    """Implements `core.io.IO` on a FakeClock, without network, files or real time.

    `on_addresses`, `on_services`, `on_read`, `on_fetch` and `on_stream` say what a name answers: values, exceptions,
    `after(seconds, answer)` or `HANG`, one per question, the last one staying; a later `on_` for the name replaces
    the earlier. Asking for a name nobody scripted raises AssertionError, which no resolver takes for an outage.
    `seen` lists the questions, `sleeps` the pauses. Not thread-safe: one loop, one test.
    """

    def __init__(self, clock: FakeClock | None = None, *, random: Callable[[], float] | None = None) -> None:
        self.clock: FakeClock = FakeClock() if clock is None else clock
        self.seen: list[Seen] = []
        self.sleeps: list[float] = []
        self._random = random or Random(1).random
        self._scripts: dict[tuple[str, str], Script] = {}
        self._sleepers: set[asyncio.Future[None]] = set()

    def on_addresses(self, name: str, *answers: Any) -> None:
        """What `addresses(name)` answers: `core.io.Answer`s."""
        self._scripts["addresses", name] = Script(answers)

    def on_services(self, name: str, *answers: Any) -> None:
        """What `services(name)` answers: `core.io.Answer`s with records."""
        self._scripts["services", name] = Script(answers)

    def on_read(self, path: str, *answers: Any) -> None:
        """What the file holds, as bytes; `FileNotFoundError()` for one that is not there."""
        self._scripts["read", path] = Script(answers)

    def on_fetch(self, url: str, *answers: Any) -> None:
        """What a GET of exactly this URL answers: `core.io.Reply`s. Slower than its timeout is a TimeoutError."""
        self._scripts["fetch", url] = Script(answers)

    def on_stream(self, url: str, *streams: Iterable[Any]) -> None:
        """One iterable of chunks per connection; its end is the server's, an exception in it breaks the stream."""
        self._scripts["stream", url] = Script(streams)

    def refresh(self) -> None:
        """Wake every sleeper early, as `mesh.refresh` and a failed connect do."""
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    def watching(self, watch: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> Watching[T]:
        """Run a resolver or provider step by step: `with io.watching(lambda publish: ...) as watching:`."""
        return Watching(watch, self.clock)

    def run(
        self,
        watch: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]],
        count: int = 1,
        *,
        within: float = 3600.0,
    ) -> list[T]:
        """Run it until it has published `count` times, cancel it, and return what was published.

        Raises what the coroutine raises, and AssertionError when it publishes less `within` virtual seconds.
        """
        with self.watching(watch) as watching:
            return watching.until(count, within=within)

    def now(self) -> float:
        """The clock's monotonic seconds."""
        return self.clock()

    def wall(self) -> float:
        """The clock's date."""
        return self.clock.wall()

    def random(self) -> float:
        """From the constructor's source, or a seeded one: the same in every run."""
        return self._random()

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time, or until `refresh()`."""
        self.sleeps.append(seconds)
        loop = asyncio.get_running_loop()
        if getattr(loop, "clock", None) is not self.clock:
            await self.clock.asleep(seconds)
            return
        woken: asyncio.Future[None] = loop.create_future()
        self._sleepers.add(woken)
        try:
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            pass
        finally:
            self._sleepers.discard(woken)

    async def addresses(
        self, name: str, *, family: Family = "auto", servers: Sequence[Server] = ()
    ) -> Answer:
        """The next scripted answer for the name."""
        answer: Answer = await self._ask("addresses", name, {"family": family, "servers": tuple(servers)})
        return answer

    async def services(self, name: str, *, servers: Sequence[Server] = ()) -> Answer:
        """The next scripted answer for the name."""
        answer: Answer = await self._ask("services", name, {"servers": tuple(servers)})
        return answer

    async def read(self, path: str) -> bytes:
        """The next scripted content of the file."""
        content: bytes = await self._ask("read", path, {})
        return content

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """The next scripted reply for the URL."""
        arguments = {"headers": dict(headers or {}), "timeout": timeout}
        reply: Reply = await self._ask("fetch", url, arguments, timeout)
        return reply

    async def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, idle: float = 60.0
    ) -> AsyncIterator[bytes]:
        """The chunks of the next scripted connection to the URL."""
        chunks = await self._ask("stream", url, {"headers": dict(headers or {}), "idle": idle}, idle)
        for chunk in chunks:
            yield await self._open(chunk, "stream", url, idle)

    async def _ask(self, kind: str, name: str, arguments: Mapping[str, Any], limit: float = inf) -> Any:
        self.seen.append(Seen(kind, name, self.clock(), arguments))
        script = self._scripts.get((kind, name))
        if script is None:
            known = ", ".join(repr(known) for of, known in sorted(self._scripts) if of == kind) or "none"
            raise AssertionError(f"no answer is scripted for {kind}({name!r}): on_{kind} knows {known}")
        return await self._open(script.take(), kind, name, limit)

    async def _open(self, answer: Any, kind: str, name: str, limit: float) -> Any:
        if isinstance(answer, After):
            if answer.seconds > limit:
                await self.clock.asleep(limit)
                raise TimeoutError(f"{kind}({name!r}) brought nothing for {limit:g} s")
            await self.clock.asleep(answer.seconds)
            answer = answer.answer
        return yielded(answer)
