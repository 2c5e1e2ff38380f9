"""The server: one nginx process on a core of its own, which counts every request it answers."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from benchmarks.e2e.cells import BODIES, SMALL

__all__ = ["Nginx", "cores", "free_port", "loopback", "missing"]

ENDPOINTS = 1000


def cores() -> tuple[int, int]:
    """(the server's, the client's): the same one where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def loopback(count: int) -> list[str]:
    """127.0.0.1, 127.0.0.2, ...: Linux answers on every address of 127/8, so a fleet needs no network."""
    return [f"127.0.{index // 250}.{1 + index % 250}" for index in range(count)]


def missing() -> str:
    """Why it cannot run here, or nothing."""
    if not hasattr(os, "sched_setaffinity"):
        return "needs Linux: cores are pinned"
    return "" if _binary() else "needs nginx: apt-get install nginx-light"


def free_port() -> int:
    """A port that was free on every loopback address a moment ago."""
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        port: int = sock.getsockname()[1]
        return port


class Nginx:
    """A running nginx, pinned to `core`, listening on `addresses` at `port`. A context manager."""

    def __init__(self, core: int, endpoints: int = ENDPOINTS) -> None:
        self.port = free_port()
        self.addresses = loopback(endpoints)
        self._core = core
        self._status = free_port()
        self._asked = 0
        self._home: Path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Nginx:
        """Write its files and wait until it answers."""
        self._home = Path(tempfile.mkdtemp(prefix="meshlib-bench-"))
        for name, size in BODIES.items():
            if name != SMALL:
                with (self._home / name).open("wb") as file:
                    file.truncate(size)
        (self._home / "nginx.conf").write_text(self._configuration())
        command = [_binary(), "-p", str(self._home), "-c", "nginx.conf", "-e", str(self._home / "errors")]
        self._process = subprocess.Popen(command)
        os.sched_setaffinity(self._process.pid, {self._core})
        until = time.monotonic() + 10
        while True:
            try:
                self.requests()
                return self
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError(f"nginx did not start:\n{self._errors()}") from None
                time.sleep(0.02)

    def requests(self) -> int:
        """Requests answered so far, this one not among them."""
        connection = http.client.HTTPConnection("127.0.0.1", self._status, timeout=5)
        try:
            connection.request("GET", "/")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        self._asked += 1
        counters = re.search(r"requests\s+(\d+) (\d+) (\d+)", text)
        assert counters, text
        return int(counters[3]) - self._asked

    def stop(self) -> None:
        """End it and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Nginx:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _errors(self) -> str:
        path = self._home / "errors"
        return path.read_text() if path.exists() else ""

    def _configuration(self) -> str:
        listen = "\n".join(f"    listen {address}:{self.port};" for address in self.addresses)
        home = self._home
        temporary = "\n".join(
            f"  {name}_temp_path {home}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # One process instead of a master with a worker: the same event loop, and a process id that can be pinned.
        return f"""
daemon off;
master_process off;
pid {home}/pid;
error_log {home}/errors warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
{temporary}
  keepalive_requests 1000000000;
  keepalive_timeout 300;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=10;
  server {{
{listen}
    root {home};
    location = /{SMALL} {{ default_type text/plain; return 200 "{"x" * BODIES[SMALL]}"; }}
  }}
  server {{
    listen 127.0.0.1:{self._status};
    location / {{ stub_status; }}
  }}
}}
"""


def _binary() -> str:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
