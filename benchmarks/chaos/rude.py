"""Callers of all manners: whole answers, streams read and left, bodies of every kind, short patience, cancellation."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from random import Random
from typing import Any

from benchmarks.chaos.echo import answer, target
from benchmarks.chaos.fleet import Party
from benchmarks.chaos.ledger import Ledger
from meshlib.errors import CircuitOpenError

__all__ = ["Caller", "call_async", "call_sync"]

SIZES = (0, 1, 200, 200, 200, 5_000, 120_000)


class Caller:
    """What every way of calling shares: whose client, which service, and what to write into the ledger."""

    def __init__(self, party: Party, ledger: Ledger, random: Random) -> None:
        self.party, self.ledger, self.random = party, ledger, random

    def address(self, number: int) -> tuple[str, str]:
        """(URL, target) of the next request."""
        asked = target(number, self.random.choice(SIZES))
        return f"http://{self.random.choice(self.party.services)}{asked}", asked

    def check(self, response: Any, asked: str, body: bytes) -> None:
        """Whatever is called an answer must be the whole answer to this request."""
        if response.status_code != 200:
            return
        if body[:1] == b"{":  # of a well-behaved service, which says who it is
            assert json.loads(body)["name"].startswith("steady-")
        elif body != answer(asked):
            self.ledger.problem(
                f"{self.party.name}: {asked} was answered with {body[:60]!r}, {len(body)} bytes"
            )

    def failed(self, error: Exception) -> str:
        """The word for it; anything but an error of the family or of meshlib is a problem."""
        if not isinstance(error, self.party.family.errors):
            self.ledger.problem(f"{self.party.name}, untyped", error)
        return "refused" if isinstance(error, CircuitOpenError) else type(error).__name__


# --- threads -------------------------------------------------------------------------------------------------------------


def call_sync(caller: Caller) -> None:
    """One call of a random manner, recorded."""
    ledger = caller.ledger
    manner = caller.random.choice(SYNC)
    url, asked = caller.address(ledger.begin())
    try:
        word = manner(caller, url, asked) or "answered"
    except Exception as error:
        word = caller.failed(error)
    ledger.end(word)


def _get(caller: Caller, url: str, asked: str) -> None:
    response = caller.party.sync.get(url)
    caller.check(response, asked, response.content)


def _post(caller: Caller, url: str, asked: str) -> None:
    response = caller.party.sync.post(url, content=b"x" * 3_000)
    caller.check(response, asked, response.content)


def _post_pieces(caller: Caller, url: str, asked: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(3):
            yield b"y" * 1_000

    response = caller.party.sync.put(url, content=pieces())
    caller.check(response, asked, response.content)


def _head(caller: Caller, url: str, asked: str) -> None:
    assert caller.party.sync.head(url).content == b""


def _hurry(caller: Caller, url: str, asked: str) -> None:
    response = caller.party.sync.get(url, timeout=caller.random.choice((0.001, 0.01, 0.05)))
    caller.check(response, asked, response.content)


def _stream(caller: Caller, url: str, asked: str) -> None:
    with caller.party.sync.stream("GET", url) as response:
        caller.check(response, asked, b"".join(response.iter_bytes()))


def _leave(caller: Caller, url: str, asked: str) -> str:
    with caller.party.sync.stream("GET", url) as response:
        for _ in response.iter_raw(1_000):
            break
    return "left"


def _forget(caller: Caller, url: str, asked: str) -> str:
    client = caller.party.sync
    response = client.send(client.build_request("GET", url), stream=True)
    if caller.random.random() < 0.5:
        next(response.iter_raw(), b"")
    return "forgotten"


Manner = Callable[[Caller, str, str], str | None]
SYNC: tuple[Manner, ...] = (_get, _get, _get, _post, _post_pieces, _head, _hurry, _stream, _leave, _forget)


# --- event loops ---------------------------------------------------------------------------------------------------------


async def call_async(caller: Caller) -> None:
    """One call of a random manner, recorded."""
    ledger = caller.ledger
    manner = caller.random.choice(ASYNC)
    url, asked = caller.address(ledger.begin())
    word = "cancelled"
    try:
        word = await manner(caller, url, asked) or "answered"
    except TimeoutError as error:
        word = "given up" if not isinstance(error, caller.party.family.errors) else caller.failed(error)
    except Exception as error:
        word = caller.failed(error)
    finally:
        ledger.end(word)


async def _aget(caller: Caller, url: str, asked: str) -> None:
    response = await caller.party.aio.get(url)
    caller.check(response, asked, response.content)


async def _apost(caller: Caller, url: str, asked: str) -> None:
    response = await caller.party.aio.post(url, content=b"x" * 3_000)
    caller.check(response, asked, response.content)


async def _apost_pieces(caller: Caller, url: str, asked: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"y" * 1_000
            await asyncio.sleep(0)

    response = await caller.party.aio.put(url, content=pieces())
    caller.check(response, asked, response.content)


async def _ahead(caller: Caller, url: str, asked: str) -> None:
    assert (await caller.party.aio.head(url)).content == b""


async def _ahurry(caller: Caller, url: str, asked: str) -> None:
    response = await caller.party.aio.get(url, timeout=caller.random.choice((0.001, 0.01, 0.05)))
    caller.check(response, asked, response.content)


async def _give_up(caller: Caller, url: str, asked: str) -> None:
    async with asyncio.timeout(caller.random.choice((0.001, 0.01, 0.05))):
        await _aget(caller, url, asked)


async def _cancel(caller: Caller, url: str, asked: str) -> str:
    task = asyncio.ensure_future(_aget(caller, url, asked))
    await asyncio.sleep(caller.random.choice((0.0, 0.0005, 0.002, 0.02, 0.1)))
    task.cancel()
    await asyncio.wait({task})
    if task.cancelled():
        return "cancelled"
    task.result()
    return "answered"


async def _astream(caller: Caller, url: str, asked: str) -> None:
    async with caller.party.aio.stream("GET", url) as response:
        caller.check(response, asked, b"".join([piece async for piece in response.aiter_bytes()]))


async def _aleave(caller: Caller, url: str, asked: str) -> str:
    async with caller.party.aio.stream("GET", url) as response:
        async for _ in response.aiter_raw(1_000):
            break
    return "left"


async def _aforget(caller: Caller, url: str, asked: str) -> str:
    client = caller.party.aio
    response = await client.send(client.build_request("GET", url), stream=True)
    if caller.random.random() < 0.5:
        async for _ in response.aiter_raw():
            break
    return "forgotten"


AsyncManner = Callable[[Caller, str, str], Awaitable[str | None]]
ASYNC: tuple[AsyncManner, ...] = (
    _aget,
    _aget,
    _aget,
    _apost,
    _apost_pieces,
    _ahead,
    _ahurry,
    _give_up,
    _cancel,
    _cancel,
    _astream,
    _aleave,
    _aforget,
)


def fleeting_loops(caller: Caller, over: threading.Event) -> None:
    """One event loop after another, on the same client; each ends with its connections open."""

    async def some() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(call_async(caller))

    while not over.wait(caller.random.uniform(0.0, 0.6)):
        asyncio.run(some())
