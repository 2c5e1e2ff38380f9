"""The other side, in a process of its own: `python -m benchmarks.chaos.servers COUNT SEED`.

Prints its addresses as one JSON line, then obeys lines on standard input and answers each with one: `refuse N`, `blackhole N`,
`restore N`, `behave` (from here on everybody answers well), `open` (connections that are open, over all servers). Ends with its
standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from types import TracebackType

from msgspec.structs import replace

from benchmarks.chaos.echo import answer
from meshlib.testing import Fault, FaultServer, ReceivedRequest

__all__ = ["Rascals"]

ROOT = Path(__file__).parents[2]
SHARE_WELL = 0.7
"""Of the answers are as they should be."""


class Rascals:
    """The parent's handle of such a process. A context manager."""

    def __init__(self, count: int, seed: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.chaos.servers", str(count), str(seed)]
        self._process: subprocess.Popen[str]
        self.addresses: list[str] = []

    def tell(self, line: str) -> str:
        """One command and its answer. From one thread at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Rascals:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        self.addresses = json.loads(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def mood(random: Random) -> Callable[[ReceivedRequest], Fault]:
    """How one server answers: mostly well, else in one of many ways badly."""

    def behave(request: ReceivedRequest) -> Fault:
        body = answer(request.path) if request.path.startswith("/echo/") else b"ok"
        chunked = random.random() < 0.3
        if random.random() < SHARE_WELL:
            delay = random.choice((0.0, 0.0, 0.0, 0.01))
            return Fault.ok(body=body, delay=delay, chunked=chunked, close=random.random() < 0.05)
        return random.choice(_ills(body, chunked, random))()

    return behave


def _well(request: ReceivedRequest) -> Fault:
    return Fault.ok(body=answer(request.path))


def _ills(body: bytes, chunked: bool, random: Random) -> list[Callable[[], Fault]]:
    def with_body(fault: Fault) -> Fault:
        return replace(fault, body=body)

    return [
        Fault.reset_before_head,
        Fault.reset_mid_head,
        lambda: Fault.reset_mid_body(body, chunked=chunked),
        lambda: Fault.cut_body(body, chunked=chunked),
        lambda: Fault.slow_body(0.05, body),
        lambda: with_body(Fault.drip_head(0.002)),
        lambda: Fault.drip_body(0.02, max(1, len(body) // 8), body, chunked=chunked),
        Fault.half_close,
        Fault.garbage,
        lambda: Fault.endless_headers(0.001),
        Fault.hang,
        lambda: with_body(Fault.close_idle(random.random() * 0.05)),
        lambda: with_body(Fault.close_idle(0.0)),
        lambda: Fault.ok(503, b"busy"),
        lambda: Fault.retry_after(0.05),
        lambda: Fault.ok(429, b"slower"),
    ]


def main(count: int, seed: int) -> None:
    """Serve until standard input ends."""
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer()) for _ in range(count)]
        for index, server in enumerate(servers):
            server.behave(default=mood(Random(seed + index)))
        print(json.dumps([server.address for server in servers]), flush=True)
        for line in sys.stdin:
            word, _, which = line.strip().partition(" ")
            for server in servers:
                server.requests.clear()
            if word == "open":
                print(sum(server.open_connections for server in servers), flush=True)
                continue
            if word == "behave":
                for server in servers:
                    server.behave(default=_well)
            else:
                getattr(servers[int(which)], word)()
            print("done", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
