"""A redis-server of its own for the tests: a free loopback port, its data in a temporary folder, ended by process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

HOW = "redis-server is missing: install it with `apt-get install redis-server`"


def require_redis() -> str:
    """The path of `redis-server`; else a skip that says how to install it, with CI=true a failure."""
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW)
        pytest.skip(HOW)
    return found


class RedisServer:
    """`start` after `kill` brings it back on the same port, empty."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder = folder
        self.binary = binary
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:41231`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> RedisServer:
        """Run it and wait until it answers PING."""
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [self.binary, "--port", str(self.port), *options], stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + 10.0
        while not self._answers():
            assert self.process.poll() is None, "redis-server ended before it answered"
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, as a crash would. Harmless when repeated."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
