"""The explicit helper, in processes of its own: global providers are set once."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_console() -> None:
    """Console providers are installed, print spans, and are not replaced by a second call."""
    out = run(
        "from meshlib.telemetry import setup\n"
        "from meshlib.errors import ConfigError\n"
        "from opentelemetry import trace\n"
        "stop = setup('console', attributes={'service.name': 'web'})\n"
        "trace.get_tracer('app').start_span('hello').end()\n"
        "try:\n    setup('console')\nexcept ConfigError as error:\n    print(error)\n"
        "stop()\n"
    )
    assert '"name": "hello"' in out
    assert '"service.name": "web"' in out
    assert "OpenTelemetry is set up already (TracerProvider)" in out


def test_nothing_is_imported_or_installed_by_us() -> None:
    """The hot path imports the API only, and leaves the global providers as they are."""
    out = run(
        "import sys\n"
        "from meshlib.telemetry import listeners\n"
        "assert 'opentelemetry' not in sys.modules\n"
        "listeners(['otel', 'log'])\n"
        "from opentelemetry import metrics, trace\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])\n"
        "print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__)\n"
    )
    assert out.splitlines() == ["[]", "ProxyTracerProvider _ProxyMeterProvider"]


@pytest.mark.parametrize("given", ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"])
def test_endpoint_is_the_base(given: str) -> None:
    """The signal's path is appended to a given collector."""
    from meshlib.telemetry.configure import _path

    assert _path(given, "/v1/traces") == "http://127.0.0.1:4318/v1/traces"
    assert _path(None, "/v1/traces") is None
