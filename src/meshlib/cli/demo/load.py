"""Load: the same open-loop stream of GETs through meshlib and through plain httpx in round robin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import httpx

from meshlib import AsyncClient, Mesh
from meshlib.cli.demo.tally import Sample, Tally

__all__ = ["Load", "RoundRobin"]

_DRAIN = 11.0  # a little more than meshlib's default deadline: every call is over by then


class RoundRobin:
    """What many a team writes first: httpx, a list of instances, the next one each time. No retries, httpx's own timeouts.

    It reads the same registry file as meshlib does, as often, so it knows a new instance as soon.
    """

    def __init__(self, registry: Path) -> None:
        self._registry = registry
        self._turn = count()
        self.addresses: list[str] = []
        self.client: httpx.AsyncClient = httpx.AsyncClient(
            trust_env=False, limits=httpx.Limits(max_connections=None)
        )
        self.reload()

    def reload(self) -> None:
        """Read the registry; a half-written or missing one changes nothing."""
        try:
            listed = json.loads(self._registry.read_text(encoding="utf-8"))["endpoints"]
        except (OSError, ValueError, KeyError):
            return
        self.addresses = [one["address"] for one in listed]

    def next(self) -> str:
        """Whose turn it is."""
        return self.addresses[next(self._turn) % len(self.addresses)]


class Load:
    """Sends `rate` requests a second on each side, at the same instants, whether earlier ones are answered or not.

    Use on one event loop. `phase` is written into every sample.
    """

    def __init__(self, mesh: Mesh, registry: Path, rate: float, chance: Callable[[], float]) -> None:
        self._rate = rate
        self._chance = chance
        self.phase = ""
        self.meshlib: Tally = Tally("meshlib")
        self.plain: Tally = Tally("plain httpx")
        self._client = AsyncClient("http://orders", mesh=mesh)
        self._round_robin = RoundRobin(registry)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled; first make both sides' acquaintance with the service, which no number should show."""
        loop = asyncio.get_running_loop()
        await self._warm()
        due = loop.time()
        reload_at = due + 1.0
        for number in count():
            # Poisson would be truer to life; even spacing with a little jitter keeps two noisy cores out of the numbers.
            due += (0.5 + self._chance()) / self._rate
            await asyncio.sleep(due - loop.time())
            self._begin(self._through_meshlib(due, number))
            self._begin(self._through_httpx(due, number))
            if due >= reload_at:
                reload_at = due + 1.0
                self._round_robin.reload()

    async def drain(self) -> None:
        """Wait for what is still on its way."""
        if self._running:
            await asyncio.wait(self._running, timeout=_DRAIN)
        for tally in (self.meshlib, self.plain):
            for _ in range(tally.started - len(tally.samples)):
                error = f"no answer {_DRAIN:g} s after the end"
                tally.add(Sample(0.0, _DRAIN, False, "", 1, self.phase), error)

    async def close(self) -> None:
        """Cancel what is still on its way and close both clients."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._client.aclose()
        await self._round_robin.client.aclose()

    async def _warm(self) -> None:
        # Each warms the connection of one instance at least; the first import of the wire is the dear part.
        for _ in range(3):
            await self._client.get("/health")
            await self._round_robin.client.get(f"http://{self._round_robin.next()}/health")

    def _begin(self, request: object) -> None:
        task = asyncio.ensure_future(request)  # type: ignore[call-overload]
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _through_meshlib(self, due: float, number: int) -> None:
        phase, tally = self.phase, self.meshlib
        tally.started += 1
        address, tries, error = "", 1, ""
        try:
            response = await self._client.get(f"/v1/orders/{number}")
            history = response.extensions["meshlib"]
            address, tries = history["node"], len(history["attempts"])
            if response.status_code >= 500:
                error = f"GET /v1/orders/{number} was answered {response.status_code}: " + "; ".join(
                    map(str, history["attempts"])
                )
        except Exception as problem:  # whatever it is, the request is lost
            attempts = getattr(problem, "attempts", ())
            tries, error = max(1, len(attempts)), f"{type(problem).__name__}: {problem}"
            address = attempts[-1].address if attempts else ""
        self._add(tally, due, address, tries, phase, error)

    async def _through_httpx(self, due: float, number: int) -> None:
        phase, tally, side = self.phase, self.plain, self._round_robin
        tally.started += 1
        address, error = side.next(), ""
        try:
            response = await side.client.get(f"http://{address}/v1/orders/{number}")
            if response.status_code >= 500:
                error = f"answered {response.status_code}"
        except Exception as problem:  # whatever it is, the request is lost
            error = f"{type(problem).__name__}: {problem}"
        self._add(tally, due, address, 1, phase, error)

    def _add(self, tally: Tally, due: float, address: str, tries: int, phase: str, error: str) -> None:
        seconds = asyncio.get_running_loop().time() - due
        tally.add(Sample(due, seconds, not error, address, tries, phase), error)
