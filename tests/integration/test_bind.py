"""The dns and srv resolvers, through the runner and the real world, against a real BIND 9."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import parse
from meshlib.discovery import Target, find, run
from meshlib.world.background import Background
from meshlib.world.handle import Handle
from meshlib.world.io import Scope, World
from tests.integration import bind

pytestmark = pytest.mark.integration


class Watch:
    """One running watch and everything it said."""

    def __init__(self, world: World, uri: str, port: int = 0) -> None:
        self.sets: list[EndpointSet] = []
        self.problems: list[str] = []
        self.errors: list[BaseException] = []
        self.io: Scope = world.scope("orders")
        target = Target(uri=parse(uri), service="orders", port=port)
        self.handle: Handle = world.background.spawn(
            lambda: run(find(target), target, self.io, self.sets.append, self.problems.append),
            self.errors.append,
        )

    @property
    def hosts(self) -> list[str]:
        """The last set's hosts, sorted."""
        return sorted(endpoint.host for endpoint in self.sets[-1].endpoints) if self.sets else ["nothing yet"]

    def until(self, true: Callable[[], bool], seconds: float = 8.0) -> float:
        """Wait for something; the seconds it took."""
        start = time.monotonic()
        while not true():
            assert time.monotonic() - start < seconds, (self.hosts, self.problems, self.errors)
            time.sleep(0.01)
        return time.monotonic() - start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running name server."""
    binary = bind.require_named()
    one = bind.Bind(tmp_path_factory.mktemp("bind"), binary)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def world() -> Iterator[World]:
    """The real IO on a thread of its own."""
    on = Background("test-control")
    yield World(on)
    assert on.stop(2.0)


def test_every_address_of_one_family(server: Any, world: World) -> None:
    """A host with A and AAAA records is there once per A address, and with family=6 once per AAAA."""
    server.reload(["orders IN A 127.0.0.11", "orders IN A 127.0.0.12", "orders IN AAAA ::1"])
    watch = Watch(world, f"dns://orders.{bind.ZONE}:8080?{server.option}")
    watch.until(lambda: watch.hosts == ["127.0.0.11", "127.0.0.12"])
    assert {endpoint.port for endpoint in watch.sets[-1].endpoints} == {8080}
    six = Watch(world, f"dns://orders.{bind.ZONE}:8080?family=6&{server.option}")
    six.until(lambda: six.hosts == ["::1"])
    both = Watch(world, f"dns://orders.{bind.ZONE}?family=all&{server.option}", port=9000)
    both.until(lambda: both.hosts == ["127.0.0.11", "127.0.0.12", "::1"])
    assert {endpoint.port for endpoint in both.sets[-1].endpoints} == {9000}


def test_new_instance_is_seen_without_a_failure(server: Any, world: World) -> None:
    """TTL 1 s: what is added shows within two seconds, what is removed is gone as soon, by dynamic update."""
    server.update("update delete orders.dyn.mesh.test A", "update add orders.dyn.mesh.test 1 A 127.0.0.21")
    watch = Watch(world, f"dns://orders.dyn.{bind.ZONE}:80?{server.option}")
    watch.until(lambda: watch.hosts == ["127.0.0.21"])
    server.update("update add orders.dyn.mesh.test 1 A 127.0.0.22")
    assert watch.until(lambda: watch.hosts == ["127.0.0.21", "127.0.0.22"]) < 2.5
    server.update("update delete orders.dyn.mesh.test 1 A 127.0.0.21")
    assert watch.until(lambda: watch.hosts == ["127.0.0.22"]) < 2.5
    assert watch.problems == []


def test_name_that_goes_and_comes_back(server: Any, world: World) -> None:
    """NXDOMAIN is an answer: the set is empty, and the negative TTL (1 s) is waited for, not a minute."""
    server.update("update delete shy.dyn.mesh.test A")
    watch = Watch(world, f"dns://shy.dyn.{bind.ZONE}:80?{server.option}")
    watch.until(lambda: watch.hosts == [])
    server.update("update add shy.dyn.mesh.test 1 A 127.0.0.31")
    assert watch.until(lambda: watch.hosts == ["127.0.0.31"]) < 2.5


def test_cname_chain_takes_the_shortest_ttl(server: Any, world: World) -> None:
    """An alias of 1 s in front of an hour's address is followed every second."""
    far = ["a 3600 IN A 127.0.0.41", "b 3600 IN A 127.0.0.42", "via 3600 IN CNAME a"]
    server.reload([*far, "alias 1 IN CNAME via"])
    watch = Watch(world, f"dns://alias.{bind.ZONE}?{server.option}")
    watch.until(lambda: watch.hosts == ["127.0.0.41"])
    server.reload([*far, "alias 1 IN CNAME b"])
    assert watch.until(lambda: watch.hosts == ["127.0.0.42"]) < 2.5


def test_kick_looks_again_at_once(server: Any, world: World) -> None:
    """With a TTL of a minute a failed connect still brings the new address at once."""
    server.reload(["slow 60 IN A 127.0.0.51"])
    watch = Watch(world, f"dns://slow.{bind.ZONE}?{server.option}")
    watch.until(lambda: watch.hosts == ["127.0.0.51"])
    server.reload(["slow 60 IN A 127.0.0.52"])
    for _ in range(100):
        watch.io.kick()
    assert watch.until(lambda: watch.hosts == ["127.0.0.52"]) < 1.5


def test_srv_of_150_records_over_tcp(server: Any, world: World) -> None:
    """An answer far beyond a datagram comes whole, with priorities, weights and ports."""
    records = [f"_http._tcp.big IN SRV {10 + n % 2 * 10} {n} {8000 + n} h{n}" for n in range(150)]
    records += [f"h{n} IN A 127.0.1.{n + 1}" for n in range(150)]
    server.reload(records)
    watch = Watch(world, f"srv://_http._tcp.big.{bind.ZONE}?{server.option}")
    watch.until(lambda: len(watch.sets) > 0)
    found = {endpoint.port: endpoint for endpoint in watch.sets[-1].endpoints}
    assert len(found) == 150
    assert {endpoint.priority for endpoint in found.values()} == {0, 1}
    assert (found[8007].host, found[8007].weight, found[8007].priority) == ("127.0.1.8", 7.0, 1)
    assert 0 < found[8000].weight <= 1
    assert watch.problems == []


def test_srv_follows_changes_and_dual_stack_hosts_are_one(server: Any, world: World) -> None:
    """A target with A and AAAA is one endpoint; a record added later shows within its TTL."""
    base = ["h1 2 IN A 127.0.2.1", "h1 2 IN AAAA ::1", "h2 2 IN A 127.0.2.2", "h2 2 IN A 127.0.2.3"]
    server.reload([*base, "_http._tcp.few 2 IN SRV 0 10 8001 h1"])
    watch = Watch(world, f"srv://_http._tcp.few.{bind.ZONE}?{server.option}")
    watch.until(lambda: watch.hosts == ["127.0.2.1"])
    server.reload([*base, "_http._tcp.few 2 IN SRV 0 10 8001 h1", "_http._tcp.few 2 IN SRV 0 10 8002 h2"])
    assert watch.until(lambda: watch.hosts == ["127.0.2.1", "127.0.2.2", "127.0.2.3"]) < 4
    assert sorted(endpoint.weight for endpoint in watch.sets[-1].endpoints) == [5.0, 5.0, 10.0]
    server.reload(["_http._tcp.few 2 IN SRV 0 0 0 ."])
    assert watch.until(lambda: watch.hosts == []) < 4


def test_dead_server_keeps_the_last_good_set(server: Any, world: World) -> None:
    """Stop: nothing is published and a problem is said. Start: the problem is gone and changes are followed."""
    server.reload(["steady 1 IN A 127.0.0.61"])
    watch = Watch(world, f"dns://steady.{bind.ZONE}?{server.option}")
    watch.until(lambda: watch.hosts == ["127.0.0.61"])
    server.stop()
    watch.until(lambda: watch.problems != [], 15)
    assert watch.hosts == ["127.0.0.61"]
    assert all(watch.sets)
    assert "did not answer" in watch.problems[-1] or "no usable answer" in watch.problems[-1]
    assert watch.errors == []
    assert not watch.handle.done
    server.write(["steady 1 IN A 127.0.0.62"])
    server.start()
    watch.io.kick()
    watch.until(lambda: watch.hosts == ["127.0.0.62"], 15)
    assert watch.problems[-1] == ""


def test_dead_server_before_a_live_one_costs_only_its_share(server: Any, world: World) -> None:
    """The second server answers after the first one's time is over."""
    server.reload(["pair 60 IN A 127.0.0.71"])
    dead = bind.free_port()
    watch = Watch(world, f"dns://pair.{bind.ZONE}?nameserver=127.0.0.1:{dead}&{server.option}")
    assert watch.until(lambda: watch.hosts == ["127.0.0.71"]) < 3.0


def test_cancelled_watch_leaves_nothing(server: Any, world: World) -> None:
    """Cancelling ends the coroutine at once, in a sleep as in a look-up."""
    watch = Watch(world, f"dns://steady.{bind.ZONE}?nameserver=127.0.0.1:{bind.free_port()}")
    time.sleep(0.1)
    watch.handle.cancel()
    assert watch.handle.wait(1.0)
    assert watch.errors == []
