"""An outbound Envoy beside the client, on the server's core, with the policies that meshlib has on by default."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Any

from benchmarks.e2e.accounts import busy, resident
from benchmarks.e2e.server import free_port

__all__ = ["Envoy"]

_TYPE = "type.googleapis.com/envoy.extensions"


class Envoy:
    """A running Envoy with one worker, pinned to `core`, in front of `addresses`. A context manager."""

    def __init__(self, binary: str, core: int, addresses: list[str]) -> None:
        self._port = free_port()
        self._binary, self._core, self._addresses = binary, core, addresses
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as Envoy)

    @property
    def address(self) -> str:
        """Where a client calls it."""
        return f"127.0.0.1:{self._port}"

    def cpu(self) -> float:
        """Seconds of CPU that it has spent."""
        assert self._process is not None
        return busy(self._process.pid)

    def memory(self) -> float:
        """MiB resident."""
        assert self._process is not None
        return resident(self._process.pid)

    def __enter__(self) -> Envoy:
        told = json.dumps(_configuration(self._port, self._addresses))
        command = [self._binary, "--config-yaml", told, "--concurrency", "1", "--disable-hot-restart"]
        pinned = ["taskset", "-c", str(self._core), *command, "-l", "error"]
        self._process = subprocess.Popen(pinned, stdout=self._log, stderr=self._log)
        until = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return self
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    self.stop()
                    self._log.seek(0)
                    raise RuntimeError(f"envoy did not start: {self._log.read()[-400:].decode()}") from None
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _configuration(port: int, addresses: list[str]) -> dict[str, Any]:
    return {
        "static_resources": {
            "listeners": [
                {"name": "out", "address": _address(f"127.0.0.1:{port}"), "filter_chains": [_chain()]}
            ],
            "clusters": [_cluster(addresses)],
        }
    }


def _chain() -> dict[str, Any]:
    retries = {
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
        "retriable_status_codes": [502, 503, 504],
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "bench", "timeout": "10s", "retry_policy": retries},
    }
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "out",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"},
            }
        ],
    }
    return {"filters": [{"name": "http", "typed_config": manager}]}


def _cluster(addresses: list[str]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(address)}} for address in addresses]
    return {
        "name": "bench",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",  # power of two choices, as ours by default
        "load_assignment": {"cluster_name": "bench", "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 1024,
                    "max_pending_requests": 1024,
                    "max_requests": 1024,
                    "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 10},
                }
            ]
        },
        "outlier_detection": {"consecutive_5xx": 5, "interval": "1s", "base_ejection_time": "1s"},
    }


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
