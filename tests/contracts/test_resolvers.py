"""What every registered resolver promises. A new one adds a line to WORLDS: a URI and a world it works in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from meshlib.core.io import Answer, SrvRecord
from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import parse
from meshlib.discovery import RESOLVERS, Target, find, run
from meshlib.errors import ConfigError, DiscoveryError
from tests.unit.discovery.scripted import Over, Script

TWICE = Answer(addresses=("10.0.0.1", "10.0.0.1", "10.0.0.2"), ttl=20.0)


def _dns(script: Script) -> None:
    script.answers["orders"] = [TWICE]


def _srv(script: Script) -> None:
    one = SrvRecord(target="h", port=80, priority=0, weight=1)
    script.records["_http._tcp.orders"] = [Answer(records=(one, one), ttl=20.0)]
    script.answers["h"] = [TWICE]


def _file(script: Script) -> None:
    entry = '{"address": "10.0.0.1:80"}'
    script.files["/e.json"] = [f'{{"endpoints": [{entry}, {entry}, {{"address": "h"}}]}}'.encode()]


def _static(script: Script) -> None:
    pass


WORLDS: dict[str, tuple[str, Callable[[Script], None]]] = {
    "dns": ("dns://orders", _dns),
    "file": ("file:///e.json", _file),
    "srv": ("srv://_http._tcp.orders", _srv),
    "static": ("static://10.0.0.1:80,10.0.0.2:80,10.0.0.1:80", _static),
}


@pytest.fixture(params=sorted({*RESOLVERS, *WORLDS}))
def case(request: pytest.FixtureRequest) -> tuple[Target, Script]:
    """Each registered scheme with a world it works in."""
    assert request.param in WORLDS, f"add a world for {request.param}:// to WORLDS"
    uri, prepare = WORLDS[request.param]
    script = Script(naps=4)
    prepare(script)
    return Target(uri=parse(uri), service="orders"), script


def broken(script: Script) -> Script:
    """The same world, answering once and then failing for ever."""
    for table in (script.answers, script.records, script.files):
        for said in table.values():
            said.append(DiscoveryError("gone"))  # type: ignore[attr-defined]
    return script


def play(work: Coroutine[Any, Any, None]) -> None:
    """Until it returns or the script is over."""
    try:
        asyncio.run(work)
    except Over:
        pass


def test_publishes_a_full_set_first(case: tuple[Target, Script]) -> None:
    """Before the first sleep, without duplicates."""
    target, script = case
    sets: list[EndpointSet] = []
    slept: list[int] = []

    def publish(endpoints: EndpointSet) -> None:
        sets.append(endpoints)
        slept.append(len(script.sleeps))

    play(find(target).watch(target, script, publish))
    assert slept[0] == 0
    assert len(sets[0]) == 2
    for one in sets:
        keys = [endpoint.key for endpoint in one.endpoints]
        assert len(keys) == len(set(keys))


def test_error_never_empties(case: tuple[Target, Script]) -> None:
    """After the world breaks down the last set stands."""
    target, script = case
    sets: list[EndpointSet] = []
    problems: list[str] = []
    play(run(find(target), target, broken(script), sets.append, problems.append))
    assert sets
    assert all(len(one) == 2 for one in sets)
    assert all(target.uri.text in problem for problem in problems if problem)


def test_unknown_option_is_refused(case: tuple[Target, Script]) -> None:
    """By `check`, before anything runs."""
    target, _ = case
    wrong = Target(uri=parse(f"{target.uri.text}?no_such_option=1"), service="orders")
    with pytest.raises(ConfigError):
        find(wrong)


def test_stateless(case: tuple[Target, Script]) -> None:
    """Two watches of one resolver do not meet."""
    target, script = case
    sets: list[EndpointSet] = []
    play(find(target).watch(target, script, sets.append))
    script.sleeps.clear()
    first = list(sets)
    sets.clear()
    play(find(target).watch(target, script, sets.append))
    assert sets == first


def test_cancellable_at_every_await(case: tuple[Target, Script]) -> None:
    """Wherever it waits, a cancellation comes through as itself and nothing is published after it."""
    target, script = case
    for turn in range(20):
        script.sleeps.clear()
        sets: list[EndpointSet] = []
        watch = find(target).watch(target, script, sets.append)
        ended = asyncio.run(_cancelled_after(watch, turn))
        count = len(sets)
        assert ended in ("cancelled", "over")
        assert len(sets) == count


async def _cancelled_after(watch: Coroutine[Any, Any, None], turns: int) -> str:
    async def guarded() -> str:
        try:
            await watch
        except Over:
            pass
        return "over"

    task = asyncio.create_task(guarded())
    for _ in range(turns + 1):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return "cancelled"
