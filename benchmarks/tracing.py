"""What telemetry adds to a call: `python benchmarks/tracing.py [rounds]`.

One call of one attempt through the sync driver whose `send` returns at once, so that nothing but the engine and the
listener is measured. All variants run in one process, interleaved round by round; the table shows medians, the spread
(first to third quartile), what each adds to a call without a listener, and the ratio to it. CPU frequency and neighbours move the
absolute numbers, hardly the ratios.
"""

from __future__ import annotations

import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import httpx
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased

from meshlib.balancing.uniform import Uniform, UniformOptions
from meshlib.core.endpoint import Endpoint
from meshlib.core.listener import Listener
from meshlib.core.outcome import Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers.sync import drive
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, CallPlan, Cluster
from meshlib.telemetry import listeners
from meshlib.telemetry.log import Log
from meshlib.telemetry.otel import OTel

CALLS = 2000
FLAGS = IDEMPOTENT | REPLAYABLE | BUFFERED
OK = Outcome(Kind.SUCCESS, "ok", "answered 200", delivered="yes", status=200)


class Null(SpanExporter):
    """Exports to nowhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Family:
    """As little of a family as a successful call needs."""

    errors = None
    transport_errors = (OSError,)

    def classify(self, reply: Any) -> Outcome:
        return OK

    def classify_error(self, error: BaseException, attempt: Any) -> Outcome:
        raise AssertionError


def plan(listener: Listener | None) -> CallPlan:
    random = Random(1).random
    cluster = Cluster("orders", Uniform(UniformOptions()), random)
    nodes = tuple(Endpoint(host=f"10.0.0.{n}", port=8080) for n in range(1, 4))
    for _ in cluster.apply(EndpointSet(nodes), 0.0):
        pass
    family: Any = Family()
    return CallPlan("orders", cluster, family, random, timeout=10.0, listener=listener)


def variants() -> dict[str, Callable[[], None]]:
    off = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.0)))
    on = TracerProvider(sampler=ALWAYS_ON)
    on.add_span_processor(BatchSpanProcessor(Null(), max_queue_size=100_000))
    measured = MeterProvider(metric_readers=[InMemoryMetricReader()])
    found = {
        "no listener": None,
        "empty fanout": listeners(()),
        "log": listeners((), extra=[Log()]),
        "otel, no SDK": listeners((), extra=[OTel()]),
        "otel, SDK, not sampled": listeners((), extra=[OTel(tracer_provider=off)]),
        "otel, SDK, sampled, batch": listeners((), extra=[OTel(tracer_provider=on)]),
        "otel, no tracing, metrics": listeners((), extra=[OTel(meter_provider=measured)]),
    }
    return {name: runner(plan(listener)) for name, listener in found.items()}


def runner(compiled: CallPlan) -> Callable[[], None]:
    request = httpx.Request("GET", "http://orders/v1/orders/42?token=1")

    def send(attempt: Any, request: Any) -> None:
        return None

    def run() -> None:
        for _ in range(CALLS):
            drive(compiled, request, send, time.monotonic, FLAGS)

    return run


def measure(rounds: int) -> dict[str, list[float]]:
    """Microseconds a call, by variant and round."""
    runs = variants()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.process_time()
            run()
            taken[name].append((time.process_time() - begun) / CALLS * 1e6)
    return taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    taken = measure(rounds)
    base = statistics.median(taken["no listener"])
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {rounds} rounds of {CALLS} calls, CPU time"
    )
    print(f"{'':28}{'us/call':>9}{'quartiles':>17}{'added':>9}{'ratio':>8}")
    for name, values in taken.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(
            f"{name:28}{middle:9.2f}{f'{low:.2f} - {high:.2f}':>17}{middle - base:+9.2f}{middle / base:8.2f}"
        )


if __name__ == "__main__":
    main()
