"""However calls end, at whatever point: in-flight counts, limit slots and connections come back, and nothing is said twice."""

from __future__ import annotations

import asyncio
import gc
import logging
from random import Random
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshlib.mesh import Mesh
from meshlib.testing import Fault, Services
from tests.integration.http_kit import STACKS, Stack, eventually, in_flight

pytestmark = pytest.mark.integration

CONCURRENCY = 6
POLICY = {
    "breaker": False,
    "attempt_timeout": 0.08,
    "connect_timeout": 0.05,
    "timeout": 0.25,
    "limit": {"concurrency": CONCURRENCY, "queue": 50},
    "retry": {"wait": {"base": 0.001, "cap": 0.005}},
}
FAULTS = (
    Fault.ok(),
    Fault.ok(body=b"y" * 100_000),
    Fault.ok(delay=0.01),
    Fault.ok(503),
    Fault.reset_before_head(),
    Fault.reset_mid_body(),
    Fault.cut_body(),
    Fault.drip_head(0.005),
    Fault.drip_body(0.005),
    Fault.hang(),
    Fault.close_idle(),
)


class Trouble(logging.Handler):
    """Collects what asyncio complains of: tasks whose exception nobody saw, transports nobody closed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One complaint."""
        self.said.append(record.getMessage())


def answering(seed: int) -> Any:
    """A server's behaviour, drawn anew for every request."""
    random = Random(seed)
    return lambda request: random.choice(FAULTS)


def mesh_of(stack: Stack, services: Services) -> Mesh:
    """With a limit, short times and everything else on."""
    return stack.mesh({"orders": {"discovery": services.uri, **POLICY}})


def slots(mesh: Mesh) -> int:
    """Slots of the limit in use."""
    service = mesh.runtime.services["orders"]
    limit = service.policy.limit
    assert limit is not None
    return mesh.runtime.keep.limiter("orders", limit).used


async def one_call(stack: Stack, client: Any, random: Random) -> None:
    """A buffered call, a stream read, or a stream left half-way."""
    kind = random.random()
    if kind < 0.6:
        await client.request(random.choice(("GET", "POST", "PUT")), "/", content=b"x" * 100)
        return
    async with client.stream("GET", "/", timeout=stack.http.Timeout(None, read=0.1)) as response:
        async for _ in response.aiter_raw(1000):
            if random.random() < 0.3:
                return


def nothing_forgotten(mesh: Mesh) -> None:
    """The pools' own view: no request waits in them, no connection is neither busy nor idle."""
    for wire, _ in mesh.runtime.pools.all():
        if callable(wire._pools):
            for pool in wire._pools():
                assert (pool.open, len(pool._waiting)) == (len(pool.idle), 0)
            continue
        for pool in wire._pools.values():
            assert "Requests: 0 active, 0 queued" in repr(pool)
            assert "Connections: 0 active" in repr(pool)


async def storm(stack: Stack, mesh: Mesh, seed: int, calls: int) -> None:
    """Calls that are cancelled at random instants, some twice, while all of them fight for the slots."""
    random = Random(seed)
    async with stack.async_client(mesh, "orders") as client:
        tasks: list[asyncio.Task[None]] = []
        for _ in range(calls):
            tasks.append(asyncio.ensure_future(one_call(stack, client, random)))
            await asyncio.sleep(random.random() * 0.004)
            victim = random.choice(tasks)
            if random.random() < 0.7:
                victim.cancel()
            if random.random() < 0.1:
                await asyncio.sleep(0)
                victim.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            allowed = (stack.http.HTTPError, asyncio.CancelledError)
            assert result is None or isinstance(result, allowed), repr(result)
        assert (in_flight(mesh), slots(mesh)) == (0, 0)
        nothing_forgotten(mesh)
        for node in mesh.runtime.services["orders"].clusters[""].nodes.values():
            assert not node.waiting


@pytest.mark.wire
@pytest.mark.parametrize("names", STACKS, ids="-".join)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_cancellation_gives_everything_back(names: tuple[str, str], seed: int) -> None:
    """At any point of a call, under load and faults."""
    stack, trouble = Stack(*names), Trouble()
    logging.getLogger("asyncio").addHandler(trouble)
    try:
        with Services(3) as services, mesh_of(stack, services) as mesh:
            for number, server in enumerate(services):
                server.behave(default=answering(seed + number))
            asyncio.run(storm(stack, mesh, seed, 60))
            gc.collect()
            assert eventually(lambda: sum(server.open_connections for server in services) == 0)
    finally:
        logging.getLogger("asyncio").removeHandler(trouble)
    assert trouble.said == []


@pytest.mark.wire
@pytest.mark.parametrize("names", STACKS, ids="-".join)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=2, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_threads_give_everything_back(names: tuple[str, str], seed: int) -> None:
    """Several threads on one client, faults, and the client closed while they are at it."""
    stack = Stack(*names)
    with Services(3) as services, mesh_of(stack, services) as mesh:
        for number, server in enumerate(services):
            server.behave(default=answering(seed + number))
        client = stack.client(mesh, "orders")
        odd: list[BaseException] = []

        def work(number: int) -> None:
            random = Random(seed + number)
            for _ in range(12):
                try:
                    if random.random() < 0.6:
                        client.request(random.choice(("GET", "POST")), "/", content=b"x" * 50)
                        continue
                    with client.stream("GET", "/", timeout=stack.http.Timeout(None, read=0.1)) as response:
                        for _ in response.iter_raw(1000):
                            if random.random() < 0.3:
                                break
                except stack.http.HTTPError:
                    continue
                except RuntimeError as error:
                    if "client has been closed" not in str(error):
                        odd.append(error)
                    return
                except BaseException as error:
                    odd.append(error)
                    return

        threads = [Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        threads[0].join(Random(seed).random() * 0.5)
        client.close()
        for thread in threads:
            thread.join(10.0)
        assert odd == []
        assert (in_flight(mesh), slots(mesh)) == (0, 0)
        assert eventually(lambda: sum(server.open_connections for server in services) == 0)
