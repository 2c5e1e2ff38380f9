"""`mesh.attempts()` with the redis client, sync and asyncio, against two real servers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from meshlib import Mesh
from tests.integration.redis_server import RedisServer, require_redis

redis = pytest.importorskip("redis")
aredis = pytest.importorskip("redis.asyncio")

pytestmark = pytest.mark.integration

FAILURES = (redis.ConnectionError, redis.TimeoutError)
POLICY = {
    "timeout": 5.0,
    "balancer": "round_robin",  # both servers are in use when one of them is killed
    "ejection": {"consecutive_failures": 3, "base": 0.3, "jitter": 0.0, "maximum": 0.5},
}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Two running servers."""
    binary = require_redis()
    both = []
    try:
        for name in "ab":
            folder = tmp_path / name
            folder.mkdir()
            both.append(RedisServer(folder, binary))
            both[-1].start()
        yield both
    finally:
        for server in both:
            server.kill()


@pytest.fixture
def mesh(servers: list[RedisServer]) -> Iterator[Mesh]:
    """A mesh whose service `cache` is those two."""
    where = "static://" + ",".join(server.address for server in servers)
    with Mesh(policy={**POLICY, "services": {"cache": {"discovery": where}}}, telemetry=False) as one:
        yield one


def no_retries() -> Any:
    """The client's own retries would hide what the mesh is to see."""
    return redis.retry.Retry(redis.backoff.NoBackoff(), 0)


def no_retries_async() -> Any:
    """The same for asyncio."""
    return aredis.retry.Retry(redis.backoff.NoBackoff(), 0)


def states(mesh: Mesh) -> dict[str, str]:
    """Address to state, as `state()` tells it."""
    nodes = mesh.state()["services"]["cache"]["clusters"][""]["nodes"]
    return {node["address"]: node["state"] for node in nodes}


def in_flight(mesh: Mesh) -> int:
    """Leases that nobody gave back."""
    return sum(node["in_flight"] for node in mesh.state()["services"]["cache"]["clusters"][""]["nodes"])


def until(true: Callable[[], bool], seconds: float = 8.0) -> None:
    """Wait for something; AssertionError when it does not happen."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Load:
    """Idempotent commands without a pause, until told to stop; counts answers by port and every loss."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.answers: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self.losses: list[BaseException] = []
        self.stopped = False
        self.clients: dict[int, Any] = {}

    def forget(self) -> None:
        """Count from here on."""
        self.answers.clear()
        self.failed.clear()


class SyncLoad(Load):
    """In a thread, with one pooled redis client a node."""

    def command(self, key: str) -> None:
        """SET and GET, which may be repeated."""
        for attempt in self.mesh.attempts("cache", on=FAILURES):
            with attempt as node:
                client = self.clients.get(node.port)
                if client is None:
                    client = redis.Redis(node.host, node.port, socket_timeout=1.0, retry=no_retries())
                    self.clients[node.port] = client
                self.failed[node.port] += 1
                client.set(key, "v")
                assert client.get(key) == b"v"
                self.failed[node.port] -= 1
                self.answers[node.port] += 1

    def run(self) -> None:
        """The thread's body."""
        number = 0
        while not self.stopped:
            number += 1
            try:
                self.command(f"key-{number}")
            except Exception as error:
                self.losses.append(error)
        for client in self.clients.values():
            client.close()


class AsyncLoad(Load):
    """Eight tasks, with one pooled redis client a node."""

    async def command(self, key: str) -> None:
        """SET and GET, which may be repeated."""
        async for attempt in self.mesh.attempts("cache", on=FAILURES):
            async with attempt as node:
                client = self.clients.get(node.port)
                if client is None:
                    client = aredis.Redis(
                        host=node.host, port=node.port, socket_timeout=1.0, retry=no_retries_async()
                    )
                    self.clients[node.port] = client
                self.failed[node.port] += 1
                await client.set(key, "v")
                assert await client.get(key) == b"v"
                self.failed[node.port] -= 1
                self.answers[node.port] += 1

    async def worker(self, name: int) -> None:
        """Commands until told to stop."""
        number = 0
        while not self.stopped:
            number += 1
            try:
                await self.command(f"key-{name}-{number}")
            except Exception as error:
                self.losses.append(error)

    def run(self) -> None:
        """The thread's body, so that the test reads alike for both."""

        async def main() -> None:
            await asyncio.gather(*(self.worker(name) for name in range(8)))
            for client in self.clients.values():
                await client.aclose()

        asyncio.run(main())


@pytest.mark.parametrize("kind", [SyncLoad, AsyncLoad])
def test_server_killed_under_load(
    kind: type[SyncLoad | AsyncLoad], servers: list[RedisServer], mesh: Mesh
) -> None:
    """No command is lost, the dead server is ejected and left alone, and it is used again when it is back."""
    dead, alive = servers
    load = kind(mesh)
    thread = Thread(target=load.run)
    thread.start()
    try:
        until(lambda: load.answers[dead.port] > 20 and load.answers[alive.port] > 20)
        dead.kill()
        until(lambda: states(mesh)[dead.address] in ("unreachable", "ejected", "probing"))
        load.forget()
        until(lambda: load.answers[alive.port] > 200)
        assert load.answers[dead.port] == 0
        # Only probes go there: one a back-off of 0.3 s and more, while hundreds of commands are answered.
        assert load.failed[dead.port] <= 10
        assert states(mesh)[alive.address] == "ready"
        dead.start()
        load.forget()
        until(lambda: states(mesh)[dead.address] == "ready" and load.answers[dead.port] > 20)
    finally:
        load.stopped = True
        thread.join(10)
    assert not thread.is_alive()
    assert load.losses == []
    assert in_flight(mesh) == 0


def test_last_failure_is_raised(servers: list[RedisServer], mesh: Mesh) -> None:
    """With both servers gone the caller gets redis's own kind of error, after every attempt that was allowed."""
    for server in servers:
        server.kill()
    tried = []

    def ping() -> None:
        for attempt in mesh.attempts("cache", on=FAILURES):
            with (
                attempt as node,
                redis.Redis(node.host, node.port, socket_timeout=0.5, retry=no_retries()) as client,
            ):
                tried.append(node.port)
                client.ping()

    with pytest.raises(redis.ConnectionError):
        ping()
    assert len(tried) == 3
    assert set(tried) == {server.port for server in servers}
    assert in_flight(mesh) == 0


def test_wrong_command_is_the_users_own_error(servers: list[RedisServer], mesh: Mesh) -> None:
    """An error in what was asked is raised at once and held against no server."""

    def nonsense() -> None:
        for attempt in mesh.attempts("cache", on=FAILURES):
            with attempt as node, redis.Redis(node.host, node.port, retry=no_retries()) as client:
                client.execute_command("NO-SUCH-COMMAND")

    with pytest.raises(redis.ResponseError):
        nonsense()
    assert set(states(mesh).values()) == {"ready"}
    assert [n["failures"] for n in mesh.state()["services"]["cache"]["clusters"][""]["nodes"]] == [0, 0]
