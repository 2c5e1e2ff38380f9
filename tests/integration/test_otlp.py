"""Telemetry against the real exporter and the real contrib instrumentation, over loopback."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from meshlib import errors
from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers import aio, sync
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, CallPlan, Cluster
from meshlib.telemetry import listeners
from meshlib.telemetry.otel import OTel

pytestmark = pytest.mark.integration

FLAGS = BUFFERED | IDEMPOTENT | REPLAYABLE


class Server:
    """A loopback server that keeps what it received: a service and an OTLP collector at once."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        kept = self.received

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                kept.append(
                    (self.path.partition("?")[0], {k.lower(): v for k, v in self.headers.items()}, body)
                )
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST = _answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def paths(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for at, headers, body in self.received if at == path]


class Family:
    """httpx as a family, in small."""

    errors = errors
    transport_errors = (httpx.TransportError,)

    def classify(self, reply: httpx.Response) -> Outcome:
        status = reply.status_code
        return Outcome(Kind.SUCCESS, "ok", f"answered {status}", delivered="yes", status=status)

    def classify_error(self, error: BaseException, attempt: Any) -> Outcome:
        return Outcome(Kind.FAILURE, "reset", "reset the connection")


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def plan_for(server: Server, otel: OTel) -> CallPlan:
    random = Random(1).random
    balancer = BALANCERS.get("random")
    cluster = Cluster("orders", balancer(balancer.options()), random)
    for _ in cluster.apply(EndpointSet((Endpoint(host="127.0.0.1", port=server.port),)), 0.0):
        pass
    family: Any = Family()
    return CallPlan("orders", cluster, family, random, timeout=10.0, listener=listeners((), extra=[otel]))


def addressed(attempt: Any, request: httpx.Request) -> httpx.Request:
    url = request.url.copy_with(host=attempt.node.host, port=attempt.node.port)
    headers = {**dict(request.headers), **(attempt.headers or {})}
    return httpx.Request(request.method, url, headers=headers)


def test_otlp_over_http(server: Server) -> None:
    """The real exporters deliver both spans and all instruments of a call, and the service sees the attempt's traceparent."""
    metric_exporter = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    trace_exporter = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    base = f"http://127.0.0.1:{server.port}"
    resource = Resource.create({"service.name": "web"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(trace_exporter.OTLPSpanExporter(f"{base}/v1/traces")))
    reader = PeriodicExportingMetricReader(metric_exporter.OTLPMetricExporter(f"{base}/v1/metrics"), 60_000)
    meters = MeterProvider([reader], resource=resource)
    otel = OTel(tracer_provider=tracers, meter_provider=meters)
    with httpx.Client() as wire:
        request = httpx.Request("GET", "http://orders/v1/42?token=secret")
        sync.drive(
            plan_for(server, otel),
            request,
            lambda attempt, request: wire.send(addressed(attempt, request)),
            flags=FLAGS,
        )
    tracers.shutdown()
    meters.shutdown()

    [(headers, _)] = server.paths("/v1/42")
    spans = {}
    for _, body in server.paths("/v1/traces"):
        for span in ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans:
            spans[span.name] = span
    assert set(spans) == {"meshlib.call orders", "GET"}
    assert headers["traceparent"].split("-")[1:3] == [spans["GET"].trace_id.hex(), spans["GET"].span_id.hex()]
    attributes = {pair.key: pair.value for pair in spans["GET"].attributes}
    assert attributes["url.full"].string_value == "http://orders/v1/42"
    assert attributes["network.peer.port"].int_value == server.port

    [(_, body)] = server.paths("/v1/metrics")
    scope = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0]
    assert scope.scope.name == "meshlib"
    found = {metric.name: metric for metric in scope.metrics}
    assert {"meshlib.calls", "meshlib.attempts", "meshlib.call.duration"} <= set(found)
    [duration] = found["http.client.request.duration"].histogram.data_points
    assert (duration.count, len(duration.explicit_bounds)) == (1, 14)


@pytest.fixture
def contrib() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """The contrib instrumentation of httpx switched on for the whole process."""
    module = pytest.importorskip("opentelemetry.instrumentation.httpx")
    exporter = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = module.HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=tracers, meter_provider=MeterProvider())
    yield tracers, exporter
    instrumentor.uninstrument()


def clients(exporter: InMemorySpanExporter) -> list[tuple[str, str]]:
    """(scope, name) of the CLIENT spans."""
    spans = [span for span in exporter.get_finished_spans() if span.kind.name == "CLIENT"]
    return [(span.instrumentation_scope.name.rpartition(".")[2], span.name) for span in spans]


def test_one_client_span_under_contrib(server: Server, contrib: Any) -> None:
    """An attempt over an instrumented httpx transport has our CLIENT span and no other, and one traceparent: ours."""
    tracers, exporter = contrib
    otel = OTel(tracer_provider=tracers, meter_provider=MeterProvider([InMemoryMetricReader()]))
    with httpx.HTTPTransport() as wire:
        request = httpx.Request("GET", "http://orders/x")
        sync.drive(
            plan_for(server, otel),
            request,
            lambda attempt, request: wire.handle_request(addressed(attempt, request)),
            flags=FLAGS,
        )
    assert clients(exporter) == [("meshlib", "GET")]
    [(headers, _)] = server.paths("/x")
    span = next(span for span in exporter.get_finished_spans() if span.name == "GET")
    assert headers["traceparent"].split("-")[2] == f"{span.context.span_id:016x}"


@pytest.mark.asyncio
async def test_one_client_span_under_contrib_async(server: Server, contrib: Any) -> None:
    """The same for asyncio."""
    tracers, exporter = contrib
    otel = OTel(tracer_provider=tracers, meter_provider=MeterProvider([InMemoryMetricReader()]))
    async with httpx.AsyncHTTPTransport() as wire:

        async def send(attempt: Any, request: httpx.Request) -> httpx.Response:
            return await wire.handle_async_request(addressed(attempt, request))

        await aio.drive(plan_for(server, otel), httpx.Request("GET", "http://orders/x"), send, flags=FLAGS)
    assert clients(exporter) == [("meshlib", "GET")]


def test_contrib_is_silent_below_an_unsampled_call(server: Server, contrib: Any) -> None:
    """A call that our sampler left out is not sampled anew by the instrumentation below."""
    _, exporter = contrib
    otel = OTel(tracer_provider=TracerProvider(sampler=ALWAYS_OFF), meter_provider=MeterProvider())
    with httpx.HTTPTransport() as wire:
        sync.drive(
            plan_for(server, otel),
            httpx.Request("GET", "http://orders/x"),
            lambda attempt, request: wire.handle_request(addressed(attempt, request)),
            flags=FLAGS,
        )
    assert clients(exporter) == []


def test_other_clients_keep_their_spans(server: Server, contrib: Any) -> None:
    """Before, after and beside our calls the instrumentation traces other clients as ever."""
    tracers, exporter = contrib
    otel = OTel(tracer_provider=tracers, meter_provider=MeterProvider())
    plain = f"http://127.0.0.1:{server.port}/plain"
    with httpx.Client() as other, httpx.HTTPTransport() as wire:
        other.get(plain)
        sync.drive(
            plan_for(server, otel),
            httpx.Request("GET", "http://orders/x"),
            lambda attempt, request: wire.handle_request(addressed(attempt, request)),
            flags=FLAGS,
        )
        other.get(plain)
    assert clients(exporter) == [("httpx", "GET"), ("meshlib", "GET"), ("httpx", "GET")]
