"""A mesh in miniature: the real engine and driver over a scripted transport, watched by a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from meshlib import errors
from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.listener import Event, Fanout, Listener
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers import aio, sync
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, CallPlan, Cluster
from meshlib.resilience.backoff import BackoffOptions, build
from meshlib.resilience.budget import BudgetOptions, RetryBudget
from meshlib.resilience.retry import RetryOptions, RetryPolicy
from meshlib.telemetry.contract import Watched
from meshlib.telemetry.otel import OTel
from meshlib.testing import FakeClock, ScriptedTransport

FLAGS = BUFFERED | IDEMPOTENT | REPLAYABLE


class URL:
    """As much of a parsed URL as telemetry reads."""

    def __init__(self, text: str, host: str, port: int | None = None, scheme: str = "http") -> None:
        self.text, self.host, self.port, self.scheme = text, host, port, scheme

    def __str__(self) -> str:
        return self.text


class Request:
    """As much of an HTTP request as telemetry reads."""

    def __init__(self, method: str = "GET", url: URL | None = None) -> None:
        self.method = method
        self.url = url or URL("http://user:secret@orders/v1/42?token=secret#top", "orders")


class StatusFamily:
    """Replies are statuses; errors are refusals and time-outs."""

    errors = errors
    transport_errors: tuple[type[BaseException], ...] = (ConnectionRefusedError, TimeoutError)

    def classify(self, reply: Any) -> Outcome:
        if not isinstance(reply, int):
            return OK
        kind = Kind.SUCCESS if reply < 500 else Kind.FAILURE
        return Outcome(
            kind, "ok" if reply < 500 else str(reply), f"answered {reply}", delivered="yes", status=reply
        )

    def classify_error(self, error: BaseException, attempt: Any) -> Outcome:
        if isinstance(error, TimeoutError):
            return Outcome(Kind.FAILURE, "timeout", "timed out")
        return Outcome(Kind.FAILURE, "unsent", "refused the connection", retry_safe=True, delivered="no")

    def describe(self, request: Any) -> str:
        return "GET http://orders/v1/42"

    def mapped(self, error: BaseException, request: Any) -> BaseException:
        return error

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> errors.MeshError:
        return errors.AttemptsExhaustedError(message, **facts)

    def attach(self, error: BaseException, request: Any) -> BaseException:
        return error

    def discard(self, reply: Any) -> None:
        pass

    async def adiscard(self, reply: Any) -> None:
        pass


class Miniature:
    """One service `orders` at 10.0.0.1:8080, spans and metrics in memory."""

    def __init__(self, sampler: Any = ALWAYS_ON) -> None:
        self.clock = FakeClock()
        self.transport = ScriptedTransport(clock=self.clock, default=200)
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.state: dict[str, Any] = {}
        self.watched = Watched(lambda: self.state, self.clock)
        self.otel = OTel(self.watched, tracer_provider=self.tracers, meter_provider=self.meters)
        self.headers: list[dict[str, str]] = []
        self.raised: list[Exception] = []
        self.events: list[Event] = []

    def answers(self, *answers: Any) -> None:
        self.transport.on("10.0.0.1:8080", *answers)

    def plan(self, *extra: Listener, attempts: int = 3, budget: float = 100.0, **options: Any) -> CallPlan:
        random = Random(7).random
        balancer = BALANCERS.get("random")
        cluster = Cluster("orders", balancer(balancer.options()), random, subset=options.pop("subset", ""))
        nodes = (Endpoint(host="10.0.0.1", port=8080),) if options.pop("fed", True) else ()
        for _ in cluster.apply(EndpointSet(nodes), self.clock()):
            pass
        retry = RetryPolicy(RetryOptions(attempts=attempts), build(BackoffOptions()))
        listener = Fanout([self.otel, *extra], lambda listener, error: self.raised.append(error))
        family: Any = StatusFamily()
        return CallPlan(
            options.pop("service", "orders"),
            cluster,
            family,
            random,
            timeout=10.0,
            retry=retry,
            max_attempts=attempts,
            budget=RetryBudget(BudgetOptions(ratio=0.0, floor=budget)),
            listener=listener,
            **options,
        )

    def call(self, *extra: Listener, request: Any = None, send: Any = None, **options: Any) -> Any:
        """One call by the sync driver."""
        plan = self.plan(*extra, **options)
        request = Request() if request is None else request
        return sync.drive(
            plan,
            request,
            self._noting(send or self.transport.send),
            self.clock,
            FLAGS,
            sleep=self.clock.sleep,
        )

    async def acall(self, *extra: Listener, request: Any = None, send: Any = None, **options: Any) -> Any:
        """One call by the asyncio driver."""
        plan = self.plan(*extra, **options)
        return await aio.drive(
            plan,
            request or Request(),
            send or self.transport.asend,
            self.clock,
            FLAGS,
            sleep=self.clock.asleep,
        )

    def _noting(self, send: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def noting(attempt: Any, request: Any) -> Any:
            self.headers.append(dict(attempt.headers or {}))
            return send(attempt, request)

        return noting

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def numbers(self) -> dict[str, list[Any]]:
        """Data points by instrument."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        if data is not None:
            for metric in data.resource_metrics[0].scope_metrics[0].metrics:
                found[metric.name] = list(metric.data.data_points)
        return found


@pytest.fixture
def mini() -> Iterator[Miniature]:
    """Every call is sampled."""
    found = Miniature()
    yield found
    found.meters.shutdown()
    found.tracers.shutdown()


@pytest.fixture
def unsampled() -> Iterator[Miniature]:
    """No call is sampled."""
    found = Miniature(ALWAYS_OFF)
    yield found
    found.meters.shutdown()
    found.tracers.shutdown()


@pytest.fixture
def http_request() -> Callable[..., Request]:
    """Makes a request from a method, a URL and its parts."""
    return lambda method="GET", *url: Request(method, URL(*url) if url else None)
