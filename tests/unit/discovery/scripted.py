"""A scripted IO in virtual time: answers are given beforehand, a sleep only moves the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from meshlib.core.io import Answer, Family, Reply, Server

__all__ = ["Over", "Script"]


class Over(BaseException):
    """The script has come to its end. No Exception, so that nothing catches it by mistake."""


class Script:
    """`answers`, `records` and `files` map a name to what is said in turn (the last one for ever); an exception in
    them is raised. `sleeps` holds what was slept; after `naps` sleeps the script is over."""

    def __init__(self, naps: int = 3) -> None:
        self.naps = naps
        self.time = 1000.0
        self.chance = 0.0
        self.sleeps: list[float] = []
        self.asked: list[tuple[str, Family | None, tuple[Server, ...]]] = []
        self.answers: dict[str, list[Answer | Exception]] = {}
        self.records: dict[str, list[Answer | Exception]] = {}
        self.files: dict[str, list[bytes | Exception]] = {}

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time + 1e9

    def random(self) -> float:
        return self.chance

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += seconds
        if seconds < 0.01:
            return
        self.sleeps.append(seconds)
        if len(self.sleeps) >= self.naps:
            raise Over

    async def addresses(
        self, name: str, *, family: Family = "auto", servers: Sequence[Server] = ()
    ) -> Answer:
        await asyncio.sleep(0)
        self.asked.append((name, family, tuple(servers)))
        return _next(self.answers[name])

    async def services(self, name: str, *, servers: Sequence[Server] = ()) -> Answer:
        await asyncio.sleep(0)
        self.asked.append((name, None, tuple(servers)))
        return _next(self.records[name])

    async def read(self, path: str) -> bytes:
        await asyncio.sleep(0)
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return _next(self.files[path])

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        raise OSError("nothing is scripted")

    async def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, idle: float = 60.0
    ) -> AsyncIterator[bytes]:
        raise OSError("nothing is scripted")
        yield b""


def _next(script: list[Any]) -> Any:
    said = script.pop(0) if len(script) > 1 else script[0]
    if isinstance(said, Exception):
        raise said
    return said
