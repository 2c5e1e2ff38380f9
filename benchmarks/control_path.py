"""What a big endpoint set costs an application: 10,000 endpoints applied through the running mesh, beside an echoing loop.

Bars: the set applies in 150 ms, a change of one endpoint in it in 20 ms, and a loop's echo p99 stays at most 2 ms meanwhile.
1,000 clients of one mesh share one background thread.

    python -m benchmarks.control_path
"""

from __future__ import annotations

import asyncio
import threading
import time

from benchmarks.report import Row, median_spread, percentile, table
from meshlib import Client, Mesh
from meshlib.core.endpoint import Endpoint
from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import service_key

COUNT = 10_000
ROUNDS = 5


def endpoints(generation: int, changed: int = 0) -> EndpointSet:
    """A full set; the first `changed` endpoints are others than in the generation before."""
    found = [
        Endpoint(
            host=f"10.{index >> 16}.{(index >> 8) & 255}.{index & 255}",
            port=8080 + (generation if index < changed else 0),
        )
        for index in range(COUNT)
    ]
    return EndpointSet(found, source="benchmark")


async def applied(mesh: Mesh, snapshot: EndpointSet) -> float:
    """Milliseconds from publishing to being picked from."""
    service = mesh.runtime.service(service_key("orders"))
    world = mesh.runtime.world
    begin = time.perf_counter()
    world.background.call_soon(service.publish, snapshot)
    while service.snapshot is not snapshot:
        await asyncio.sleep(0.0005)
        assert time.perf_counter() - begin < 20, "the set was never applied"
    return (time.perf_counter() - begin) * 1000


async def echoes(until: asyncio.Event, into: list[float]) -> None:
    """Round trips through a real socket pair on this loop, in ms, one after another."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    while not until.is_set():
        begin = time.perf_counter()
        writer.write(b"x" * 32)
        await reader.read(64)
        into.append((time.perf_counter() - begin) * 1000)
        await asyncio.sleep(0.0002)
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(0.01)


async def rounds(count: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """(first set ms, one change ms, echo p99 ms idle, echo p99 ms while sets are applied)."""
    whole, single, calm, busy = [], [], [], []
    sets = [endpoints(0), *(endpoints(generation, changed=1) for generation in (1, 2, 3))]
    for _ in range(count):
        with Mesh(
            policy={"services": {"orders": {"discovery": "dns://localhost:1"}}}, telemetry=False
        ) as mesh:
            mesh.runtime.service(service_key("orders")).stop()  # the sets come from here, not from a resolver
            calm.append(await watched(asyncio.sleep(0.3)))

            async def work(mesh: Mesh = mesh) -> None:
                whole.append(await applied(mesh, sets[0]))
                for one in sets[1:]:
                    single.append(await applied(mesh, one))

            busy.append(await watched(work()))
    return whole, single, calm, busy


async def watched(work: object) -> float:
    """The echo p99 in ms while `work` is awaited."""
    done, times = asyncio.Event(), list[float]()
    echoing = asyncio.create_task(echoes(done, times))
    await asyncio.sleep(0.05)
    times.clear()
    await work  # type: ignore[misc]
    done.set()
    await echoing
    return percentile(times, 0.99)


def shared_thread(clients: int = 1000) -> int:
    """Background threads after `clients` clients of one mesh were made and used to plan a call."""
    with Mesh(policy={"services": {"orders": {"discovery": "dns://localhost:1"}}}, telemetry=False) as mesh:
        made = [mesh.client("http://orders") for _ in range(clients)]
        for client in made:
            assert isinstance(client, Client)
            mesh.runtime.service(service_key("orders"))
        count = sum(thread.name.startswith("meshlib-control") for thread in threading.enumerate())
        for client in made:
            client.close()
    return count


def measure(count: int = ROUNDS) -> list[Row]:
    """All figures of this file."""
    whole, single, calm, busy = asyncio.run(rounds(count))
    threads = float(shared_thread())
    return [
        Row("10,000 endpoints applied", *median_spread(whole), "ms", 150.0),
        Row("one endpoint of 10,000 changed", *median_spread(single), "ms", 20.0),
        Row("echo p99 beside an idle mesh", *median_spread(calm), "ms"),
        Row("echo p99 while sets are applied", *median_spread(busy), "ms", 2.0),
        Row("control threads of 1,000 clients", threads, threads, threads, "", 1.0),
    ]


if __name__ == "__main__":
    print(table("Control path", measure()))
