"""Board: everything a view may show, gathered in one place and read from any thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from meshlib import Mesh
from meshlib.cli.demo.load import Load
from meshlib.cli.demo.scene import Scene
from meshlib.cli.demo.script import PHASES, Phase
from meshlib.cli.demo.tally import Summary, Tally, summarised
from meshlib.core.listener import Event, Listener

__all__ = ["Board", "News", "Row"]

NOW = 1.0
"""Seconds that "now" goes back in rates and latencies."""


class Row(NamedTuple):
    """One replica as both sides see it. `node` is its part of `mesh.state()`, None while meshlib does not know it."""

    name: str
    address: str
    condition: str
    node: dict[str, Any] | None
    meshlib: Summary
    plain: Summary
    plain_total: int
    plain_failed: int


class News(Listener):
    """What meshlib reports while the demo runs, as sentences with their time. Called from any thread."""

    def __init__(self, names: Callable[[str], str], clock: Callable[[], float]) -> None:
        self._names = names
        self._clock = clock
        self.lines: deque[tuple[float, str]] = deque(maxlen=500)

    def say(self, text: str) -> None:
        """Add a line."""
        self.lines.append((self._clock(), text))

    def event(self, event: Event) -> None:
        """See Event: those that a spectator wants to hear of."""
        text = self._sentence(event.kind, event.facts)
        if text:
            self.say(f"meshlib: {text}")

    def _sentence(self, kind: str, facts: Any) -> str:
        match kind:
            case "ejection":
                return f"{self._names(facts['node'])} ejected for {facts['seconds']:.1f} s: {facts['reason']}"
            case "restored":
                return f"{self._names(facts['node'])} is back in"
            case "breaker":
                return f"breaker {facts['from']} -> {facts['to']}: {facts['reason']}"
            case "endpoints":
                return f"discovery lists {facts['now']} endpoints"
            case "panic" if facts["on"]:
                return "too many endpoints are out, so all are used"
        return ""


class Board:
    """What is going on. `phase` is set by the script; the rest is worked out when somebody looks."""

    def __init__(
        self, scene: Scene, mesh: Mesh, load: Load, news: News, seconds: float, clock: Callable[[], float]
    ) -> None:
        self.scene = scene
        self.mesh = mesh
        self.load = load
        self.news = news
        self.seconds = seconds
        self.clock = clock
        self.began: float = clock()
        self.phase: Phase = PHASES[0]

    @property
    def elapsed(self) -> float:
        """Seconds since the load began."""
        return self.clock() - self.began

    def service(self) -> dict[str, Any]:
        """`orders` in `mesh.state()`; empty before its first call."""
        found: dict[str, Any] = self.mesh.state()["services"].get("orders", {})
        return found

    def now(self, tally: Tally) -> Summary:
        """What was due in the last second."""
        return summarised(tally.since(self.clock() - NOW))

    def rows(self, service: dict[str, Any]) -> list[Row]:
        """One for each replica."""
        nodes = {
            node["address"]: node
            for cluster in service.get("clusters", {}).values()
            for node in cluster["nodes"]
        }
        since = self.clock() - NOW
        recent = self.load.meshlib.since(since), self.load.plain.since(since)
        counts = self.load.plain.counts()
        rows = []
        for replica in list(self.scene.replicas):
            address = replica.address
            mine, plain = (summarised(one for one in side if one.address == address) for side in recent)
            good, bad = counts.get(address, (0, 0))
            node = nodes.get(address)
            rows.append(Row(replica.name, address, replica.condition, node, mine, plain, good + bad, bad))
        return rows
