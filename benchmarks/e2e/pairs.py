"""Pairs: variants of one client taking turns in one process, so that a difference of microseconds is not drowned.

Two processes on a shared machine differ by ten microseconds a request for reasons of their own. Here every variant sends a
short block of requests in each turn, in changing order, and the figure is the median of the differences within a turn.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benchmarks.e2e.clients_mesh import OFF, SERVICE, call_of, mesh_of
from benchmarks.e2e.job import Job
from benchmarks.report import percentile

__all__ = ["run_pairs"]

BLOCK = 128
"""Requests a variant sends in its turn."""
EACH = 16
"""At least so many of each task."""


class Variant:
    """A way to send a request, what ends its block (an export), and what was measured of it."""

    def __init__(
        self, name: str, call: Callable[[], Awaitable[None]], settle: Callable[[], Any] | None = None
    ) -> None:
        self.name = name
        self.settle = settle
        self.cpu: list[float] = []
        self.latencies: list[float] = []
        self.calls = 0
        self._call = call

    async def turn(self, in_flight: int) -> None:
        """One block: CPU microseconds a request, whatever thread spent them."""
        each = max(EACH, BLOCK // in_flight)
        begin = time.process_time()
        if in_flight == 1:
            await self._work(each)
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(in_flight):
                    group.create_task(self._work(each))
        if self.settle is not None:
            self.settle()
        self.cpu.append((time.process_time() - begin) / (each * in_flight) * 1e6)
        self.calls += each * in_flight

    async def _work(self, count: int) -> None:
        call, append, clock = self._call, self.latencies.append, time.perf_counter
        for _ in range(count):
            begin = clock()
            await call()
            append(clock() - begin)

    def forget(self) -> None:
        """Warm-up is over."""
        self.cpu.clear()
        self.latencies.clear()


async def run_pairs(job: Job) -> dict[str, Any]:
    """Turns for `seconds`; figures of each variant."""
    async with VARIANTS[job.client](job) as variants:
        until = time.monotonic() + job.warm
        while time.monotonic() < until:
            for variant in variants:
                await variant.turn(job.in_flight)
        for variant in variants:
            variant.forget()
        until, number = time.monotonic() + job.seconds, 0
        while time.monotonic() < until or number < 3:
            shift = number % len(variants)
            for variant in variants[shift:] + variants[:shift]:
                await variant.turn(job.in_flight)
            number += 1
        return {
            "calls": sum(variant.calls for variant in variants),
            "turns": number,
            "variants": {variant.name: _figures(variant) for variant in variants},
            "added": {
                f"{above.name} - {below.name}": statistics.median(
                    more - less for more, less in zip(above.cpu, below.cpu, strict=True)
                )
                for index, above in enumerate(variants)
                for below in variants[:index]
            },
        }


def _figures(variant: Variant) -> dict[str, float]:
    return {
        "cpu": statistics.median(variant.cpu),
        "p50": percentile(variant.latencies, 0.5) * 1e6,
        "p99": percentile(variant.latencies, 0.99) * 1e6,
        "calls": variant.calls,
    }


@asynccontextmanager
async def _layers(job: Job) -> AsyncIterator[list[Variant]]:
    """Policies, meshlib's own counters, and what a real SDK adds, one thing at a time."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from meshlib.telemetry.otel import OTel

    class Null(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    unsampled = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.0)))
    sampled = TracerProvider()
    batch = BatchSpanProcessor(
        Null(), max_queue_size=100_000
    )  # nothing may be dropped: that would be less work
    sampled.add_span_processor(batch)
    measured = MeterProvider(metric_readers=[InMemoryMetricReader()])
    described: dict[str, dict[str, Any]] = {
        "off": {"policy": OFF, "telemetry": False},
        "policies": {"telemetry": False},
        "everything": {},
        "unsampled SDK": {"telemetry": False, "listeners": [OTel(tracer_provider=unsampled)]},
        "metrics SDK": {"telemetry": False, "listeners": [OTel(meter_provider=measured)]},
        "sampled SDK": {"telemetry": False, "listeners": [OTel(tracer_provider=sampled)]},
    }
    async with AsyncExitStack() as stack:
        variants = []
        for name, arguments in described.items():
            settle = batch.force_flush if name == "sampled SDK" else None
            variants.append(Variant(name, await _meshed(stack, job, **arguments), settle))
        yield variants
    sampled.shutdown()
    measured.shutdown()


@asynccontextmanager
async def _sidecar(job: Job) -> AsyncIterator[list[Variant]]:
    """The same lean client three times: alone, through Envoy with policies, and with them in process."""
    through = Job({**vars(job), "addresses": [job.sidecar]})
    async with AsyncExitStack() as stack:
        yield [
            Variant("alone", await _meshed(stack, job, policy=OFF, telemetry=False)),
            Variant("mesh", await _meshed(stack, job)),
            Variant("envoy", await _meshed(stack, through, policy=OFF, telemetry=False)),
        ]


async def _meshed(stack: AsyncExitStack, job: Job, **arguments: Any) -> Callable[[], Awaitable[None]]:
    from meshlib import AsyncClient

    mesh = stack.enter_context(mesh_of(job, **arguments))
    client = await stack.enter_async_context(AsyncClient(f"http://{SERVICE}", mesh=mesh))
    return call_of(client, job)


VARIANTS = {"layers": _layers, "sidecar": _sidecar}
