"""`setup`: OpenTelemetry for an application that has not set it up. Never called by meshlib itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from meshlib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

__all__ = ["setup"]

Exporter = Literal["otlp", "console"]
_NEEDS_EXTRA = "exporting by OTLP needs the extra: pip install 'meshlib-client[otlp]'"


def setup(
    exporter: Exporter = "otlp",
    *,
    endpoint: str | None = None,
    attributes: Mapping[str, str] | None = None,
    interval: float | None = None,
) -> Callable[[], None]:
    """Install global tracer and meter providers that export by OTLP over HTTP, or to the console.

    For applications without a set-up of their own; where a provider is installed already this raises ConfigError and
    changes nothing. `endpoint` is the collector's base URL (`http://127.0.0.1:4318`), `attributes` describe the process
    (`{"service.name": "web"}`), `interval` is seconds between metric exports. What is not given comes from the
    standard OTEL_* environment variables. Returns a function that flushes and stops both. Call it once, from any thread.
    """
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    for installed in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        if "Proxy" not in type(installed).__name__:
            raise ConfigError(
                f"OpenTelemetry is set up already ({type(installed).__name__}): meshlib uses that and replaces nothing"
            )
    resource: Resource = Resource.create(dict(attributes or {}))
    processor = _span_processor(exporter, endpoint)
    reader = _metric_reader(exporter, endpoint, interval)
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(processor)
    meter_provider = MeterProvider(metric_readers=[reader], resource=resource)
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)

    def stop() -> None:
        tracer_provider.shutdown()
        meter_provider.shutdown()

    return stop


def _span_processor(exporter: Exporter, endpoint: str | None) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    if exporter == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter())
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError(_NEEDS_EXTRA) from error
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=_path(endpoint, "/v1/traces")))


def _metric_reader(exporter: Exporter, endpoint: str | None, interval: float | None) -> MetricReader:
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

    millis = None if interval is None else interval * 1000.0
    chosen: Any
    if exporter == "console":
        chosen = ConsoleMetricExporter()
    else:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ImportError as error:
            raise ConfigError(_NEEDS_EXTRA) from error
        chosen = OTLPMetricExporter(endpoint=_path(endpoint, "/v1/metrics"))
    return PeriodicExportingMetricReader(chosen, export_interval_millis=millis)


def _path(endpoint: str | None, path: str) -> str | None:
    """The exporter appends the signal's path to OTEL_EXPORTER_OTLP_ENDPOINT, but takes an argument as it is."""
    return None if endpoint is None else endpoint.rstrip("/") + path
