"""Neighbours: a sidecar that does the same work twice, and instrumentation that sees every request twice."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec

from meshlib.cli.doctor.finding import Finding, ok, warn

__all__ = ["check_instrumentation", "check_proxies", "check_sidecar"]

# Ports on loopback that only a sidecar listens on.
_PORTS = (
    (15000, "Envoy's admin port, as Istio sets it"),
    (15021, "Istio's health port"),
    (4191, "Linkerd's admin port"),
    (20000, "Consul Connect's Envoy"),
)
_BOUND = 0.05  # seconds a loopback connect may take
_VARIABLES = (
    ("ISTIO_META_", "Istio"),
    ("LINKERD2_PROXY_", "Linkerd"),
    ("_l5d_", "Linkerd"),
    ("ENVOY_", "Envoy"),
    ("CONSUL_CONNECT_", "Consul Connect"),
    ("DAPR_", "Dapr"),
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_INSTRUMENTATIONS = (
    (
        "opentelemetry.instrumentation.httpx",
        "OpenTelemetry's instrumentation of httpx",
        "it stays quiet inside meshlib's attempts, so no span is doubled; it still sees plain httpx clients",
    ),
    (
        "ddtrace",
        "Datadog's ddtrace",
        "it shows every call once, however many attempts it took; meshlib's own spans show the attempts",
    ),
    (
        "sentry_sdk",
        "Sentry",
        "its httpx integration shows every call once, however many attempts it took",
    ),
    (
        "newrelic",
        "New Relic",
        "it patches httpx: its external segments count attempts, meshlib's counters count calls",
    ),
)


def check_sidecar(config: str | None) -> Iterator[Finding]:
    """Environment variables and loopback ports of known proxies."""
    found = sorted({name for prefix, name in _VARIABLES if any(key.startswith(prefix) for key in os.environ)})
    signs = [f"variables of {name}" for name in found]
    signs += [f"port {port} ({what})" for port, what in _PORTS if _listening(port)]
    if signs:
        yield warn(
            "sidecar",
            f"there seems to be one: {'; '.join(signs)}",
            "let one layer retry, not both: retry = false in [defaults], or numRetries 0 in the sidecar; with its mTLS "
            "keep http:// URLs",
        )
    else:
        yield ok("sidecar", "none in sight")


def check_instrumentation(config: str | None) -> Iterator[Finding]:
    """Other instrumentation of HTTP clients that is installed."""
    seen = False
    for module, name, advice in _INSTRUMENTATIONS:
        if _installed(module):
            seen = True
            yield warn("telemetry", f"{name} is installed", advice)
    if not seen:
        yield ok("telemetry", "no other instrumentation of HTTP clients is installed")


def check_proxies(config: str | None) -> Iterator[Finding]:
    """Proxy variables: they count for hosts passed through only."""
    given = [name for name in _PROXIES if os.environ.get(name)]
    if given:
        yield ok(
            "proxy",
            f"{', '.join(given)}: used for hosts that are passed through, never for balanced services",
        )


def _listening(port: int) -> bool:
    """Whether something accepts on this loopback port. Nothing is sent."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_BOUND):
            return True
    except OSError:
        return False


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a parent package that is missing or odd
        return False
