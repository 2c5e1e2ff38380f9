"""ScriptedIO."""

import asyncio
from collections.abc import Callable

import pytest

from meshlib.core.io import IO, Answer, Reply, Server, SrvRecord
from meshlib.errors import DiscoveryError
from meshlib.testing import HANG, ScriptedIO, after

ONE = Answer(addresses=("10.0.0.1",), ttl=30.0)
TWO = Answer(addresses=("10.0.0.1", "10.0.0.2"), ttl=60.0)
Publish = Callable[[Answer], None]


async def by_ttl(io: IO, publish: Publish) -> None:
    """A resolver in small: publish, sleep for the TTL, again."""
    while True:
        answer = await io.addresses("orders", family="4", servers=[Server("10.0.0.53")])
        publish(answer)
        await io.sleep(answer.ttl)


def test_is_an_io() -> None:
    """The double fits the contract (checked by the type checker here, and used as one below)."""
    io: IO = ScriptedIO()
    assert io.now() == 1000.0
    assert io.wall() == 1_700_000_000.0
    assert 0 <= io.random() < 1


def test_randomness_repeats() -> None:
    """Two doubles draw the same numbers; a test may give its own."""
    assert ScriptedIO().random() == ScriptedIO().random()
    assert ScriptedIO(random=lambda: 0.25).random() == 0.25


def test_run_stops_after_n_publications() -> None:
    """A resolver runs in virtual time, and what it asked and slept is on record."""
    io = ScriptedIO()
    io.on_addresses("orders", ONE, TWO)
    assert io.run(lambda publish: by_ttl(io, publish), 3) == [ONE, TWO, TWO]
    assert [(seen.kind, seen.name, seen.at) for seen in io.seen] == [
        ("addresses", "orders", 1000.0),
        ("addresses", "orders", 1030.0),
        ("addresses", "orders", 1090.0),
    ]
    assert io.seen[0].arguments == {"family": "4", "servers": (Server("10.0.0.53"),)}
    assert io.sleeps[:2] == [30.0, 60.0]


def test_scripted_error_comes_out() -> None:
    """What the world raises and the resolver lets out reaches the test."""
    io = ScriptedIO()
    io.on_addresses("orders", ONE, DiscoveryError("down"))
    with pytest.raises(DiscoveryError, match="down"):
        io.run(lambda publish: by_ttl(io, publish), 2)


def test_unscripted_question_is_no_outage() -> None:
    """A forgotten script is an AssertionError that lists what there is."""
    io = ScriptedIO()
    io.on_addresses("orders", ONE)
    io.on_read("orders.toml", b"")

    async def ask(publish: Publish) -> None:
        await io.addresses("payments")

    with pytest.raises(AssertionError, match=r"addresses\('payments'\): on_addresses knows 'orders'$"):
        io.run(ask)


def test_refresh_wakes_a_sleeper() -> None:
    """`refresh` ends a sleep early; without sleepers it does nothing."""
    io = ScriptedIO()
    io.on_addresses("orders", ONE, TWO)
    io.refresh()
    with io.watching(lambda publish: by_ttl(io, publish)) as watching:
        watching.until(1)
        watching.advance(10.0)
        io.refresh()
        io.refresh()
        watching.until(2)
    assert watching.times == [1000.0, 1010.0]


def test_every_kind_of_question() -> None:
    """Services, files, fetches and streams answer with what was scripted for them."""
    io = ScriptedIO()
    records = Answer(records=(SrvRecord("a.orders", 80, 0, 1),), ttl=5.0)
    reply = Reply(status=200, headers={"x-consul-index": "7"}, body=b"[]")
    io.on_services("_http._tcp.orders", records)
    io.on_read("orders.toml", b"a", FileNotFoundError("orders.toml"))
    io.on_fetch("http://consul/v1", after(3.0, reply))
    io.on_stream("http://kube/watch", [b"one", after(2.0, b"two")], [b"three", ConnectionResetError("cut")])
    got: list[object] = []

    async def ask(publish: Callable[[object], None]) -> None:
        publish(await io.services("_http._tcp.orders"))
        publish(await io.read("orders.toml"))
        with pytest.raises(FileNotFoundError):
            await io.read("orders.toml")
        publish(await io.fetch("http://consul/v1", headers={"x-token": "t"}))
        got.extend([chunk async for chunk in io.stream("http://kube/watch")])
        with pytest.raises(ConnectionResetError, match="cut"):
            got.extend([chunk async for chunk in io.stream("http://kube/watch")])
        publish("end")

    assert io.run(ask, 4) == [records, b"a", reply, "end"]
    assert got == [b"one", b"two"]
    assert io.now() == pytest.approx(1005.0)
    assert io.seen[3].arguments == {"headers": {"x-token": "t"}, "timeout": 10.0}


def test_slower_than_its_timeout() -> None:
    """A fetch and an idle stream raise TimeoutError when their time is over, and not before."""
    io = ScriptedIO()
    io.on_fetch("http://slow", HANG)
    io.on_stream("http://idle", [b"one", after(61.0, b"two")])
    times = []

    async def ask(publish: Callable[[None], None]) -> None:
        with pytest.raises(TimeoutError, match=r"fetch\('http://slow'\) brought nothing for 4 s"):
            await io.fetch("http://slow", timeout=4.0)
        times.append(io.now())
        stream = io.stream("http://idle")
        assert await anext(stream) == b"one"
        with pytest.raises(TimeoutError):
            await anext(stream)
        times.append(io.now())
        publish(None)

    io.run(ask)
    assert times == pytest.approx([1004.0, 1064.0])


def test_works_on_an_ordinary_loop() -> None:
    """Without a VirtualLoop a sleep passes at once."""
    io = ScriptedIO()
    io.on_addresses("orders", ONE)

    async def main() -> Answer:
        await io.sleep(60.0)
        return await io.addresses("orders")

    assert asyncio.run(main()) is ONE
    assert (io.now(), io.sleeps) == (1060.0, [60.0])
