"""What the tests with other people's tools share. Each scenario runs in an interpreter of its own: these tools patch classes for
the whole process, and some never take it back.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["ATTEMPTS", "CALLS", "FAMILIES", "ROUNDS", "WIRES", "Exchange", "alone", "clients", "needs"]

FAMILIES = ("httpx", "httpx2")
WIRES = ("httpx", "lean")
ROOT = Path(__file__).resolve().parents[2]

CALLS = 3
"""Logical calls of a round of an Exchange."""
ATTEMPTS = 4
"""Attempts of these."""
ROUNDS = 2 * len(WIRES)
"""On each wire one with a Client and one with an AsyncClient."""


def needs(*modules: str) -> None:
    """Skip without one of these; a failure in CI, where they are to be there."""
    import pytest

    for module in modules:
        if importlib.util.find_spec(module) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{module} is not installed")
            pytest.skip(f"needs {module}: pip install --group test")


def alone(scenario: Callable[..., Any], *arguments: Any, **environment: str) -> Any:
    """What `scenario(*arguments)` returns in a process of its own, as JSON carries it."""
    command = [sys.executable, __file__, scenario.__code__.co_filename, scenario.__name__]
    done = subprocess.run(
        [*command, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def clients(family: str) -> Any:
    """The module with meshlib's clients of that family."""
    return importlib.import_module("meshlib" if family == "httpx" else "meshlib.httpx2")


class Exchange:
    """In each round three calls in four attempts: a GET that is answered 503 once, a POST, and a GET that is streamed.

    `requests` is what the server saw, `statuses` what the caller got.
    """

    def __init__(self, family: str) -> None:
        self.family = family
        self.requests: list[dict[str, str]] = []
        self.statuses: list[int] = []

    def run(self, prepare: Callable[[Any], None] | None = None) -> Exchange:
        """Make the calls; `prepare` is handed each client first."""
        from meshlib.testing import Fault, FaultServer

        made = clients(self.family)
        for wire, colour in ((wire, colour) for wire in WIRES for colour in (self._sync, self._async)):
            with FaultServer() as server:
                server.behave(Fault.ok(status=503), default=Fault.ok(body=b"fine"))
                options = {"discovery": f"static://{server.address}", "policy": {"wire": wire}}
                colour(made, options, prepare or (lambda client: None))
                self.requests += [
                    {name.lower(): value for name, value in one.headers} for one in server.requests
                ]
        return self

    def _sync(self, made: Any, options: dict[str, Any], prepare: Callable[[Any], None]) -> None:
        with made.Client("http://orders", **options) as client:
            prepare(client)
            self.statuses.append(client.get("/first").status_code)
            self.statuses.append(client.post("/second", json={"a": 1}).status_code)
            with client.stream("GET", "/third") as response:
                self.statuses.append(response.status_code)
                assert response.read() == b"fine"

    def _async(self, made: Any, options: dict[str, Any], prepare: Callable[[Any], None]) -> None:
        async def calls() -> None:
            async with made.AsyncClient("http://orders", **options) as client:
                prepare(client)
                self.statuses.append((await client.get("/first")).status_code)
                self.statuses.append((await client.post("/second", json={"a": 1})).status_code)
                async with client.stream("GET", "/third") as response:
                    self.statuses.append(response.status_code)
                    assert await response.aread() == b"fine"

        asyncio.run(calls())


def main(file: str, name: str, arguments: str) -> None:
    """In the process of its own."""
    sys.path.insert(0, str(ROOT))
    spec = importlib.util.spec_from_file_location("scenario", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.stdout.write(json.dumps(getattr(module, name)(*json.loads(arguments))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
