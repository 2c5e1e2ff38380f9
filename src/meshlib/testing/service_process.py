"""ServiceProcess: an instance of the small service as a process, to be slowed down, killed and restarted."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from typing import Any

from meshlib.core.endpoint import address_text

__all__ = ["ServiceProcess"]


class ServiceProcess:
    """Starts `python -m meshlib.testing.service` and waits until it listens; a context manager that stops it.

    The child ends when its standard input does, so it never outlives this process, whatever ends that. `start` after
    `stop` or `kill` brings it back on the same port. Raises RuntimeError when the child cannot listen.
    """

    def __init__(
        self, name: str = "service", *, port: int = 0, delay: float = 0.0, fail: float = 0.0
    ) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port: int = port
        self._options = ["--name", name, "--delay", repr(delay), "--fail", repr(fail)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:41231`."""
        return address_text(self.host, self.port)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:41231`."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int | None:
        """The child's process id while it has not been waited for."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> ServiceProcess:
        """Start the child without waiting for it, so that several can start side by side; `ready` waits."""
        if self.running:
            raise RuntimeError(f"service {self.name!r} already runs")
        command = [sys.executable, "-m", "meshlib.testing.service", "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def ready(self) -> ServiceProcess:
        """Wait until the child listens."""
        process = self._process
        if process is None or process.stdout is None:
            raise RuntimeError(f"service {self.name!r} was not started")
        line = process.stdout.readline()
        if not line:
            status = process.wait()
            self._forget()
            raise RuntimeError(f"service {self.name!r} ended with status {status} before it listened")
        self.port = int(json.loads(line)["port"])
        return self

    def start(self) -> ServiceProcess:
        """`launch` and `ready`."""
        return self.launch().ready()

    def control(self, **settings: float) -> dict[str, Any]:
        """Change `delay` (seconds), `fail` (0 to 1) or `health` (status); returns all settings. Blocking, in ms.

        Raises ValueError for a setting the service refuses, OSError when it cannot be reached.
        """
        query = "&".join(f"{name}={value}" for name, value in settings.items())
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5.0)
        try:
            connection.request("POST" if settings else "GET", f"/_control?{query}")
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(answer.get("error", f"the service answered {response.status}"))
        return answer

    def kill(self) -> None:
        """End the child at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def stop(self, within: float = 6.0) -> None:
        """Let the child finish what is in flight and end; kill it when it has not ended in time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> ServiceProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
