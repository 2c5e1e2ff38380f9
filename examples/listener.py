"""Watching calls without OpenTelemetry: a listener counts outcomes and is told of every ejection.

python examples/listener.py
"""

from collections import Counter
from threading import Lock
from typing import Any

from meshlib import Mesh
from meshlib.core.listener import Event, Headers, Listener
from meshlib.core.outcome import Outcome
from meshlib.testing import ServiceProcess


class Report(Listener):
    """Called by whichever thread or loop makes the call, so its own counters need a lock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.outcomes: Counter[str] = Counter()
        self.events: list[Event] = []

    def attempt_started(self, call: Any, attempt: Any) -> Headers:
        """What is returned goes out as headers of this attempt."""
        return {"x-attempt": str(attempt.number)}

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes[f"{attempt.node.address} {outcome.text}"] += 1

    def event(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)


def main() -> None:
    report = Report()
    with ServiceProcess("good") as good, ServiceProcess("bad", fail=1.0) as bad:
        where = f"static://{good.address},{bad.address}"
        policy = {"balancer": "round_robin", "services": {"orders": {"discovery": where}}}
        with Mesh(policy=policy, listeners=[report]) as mesh, mesh.client("http://orders") as orders:
            codes = Counter(orders.get("/").status_code for _ in range(50))
        names = {good.address: "good", bad.address: "bad"}
    print("the caller saw:", dict(codes))
    for what, count in sorted(report.outcomes.items()):
        address, _, text = what.partition(" ")
        print(f"  {names[address]}: {text}, {count} times")
    for event in report.events:
        print("event:", event.kind, {key: names.get(str(value), value) for key, value in event.facts.items()})
    assert any(event.kind == "ejection" for event in report.events)


if __name__ == "__main__":
    main()
