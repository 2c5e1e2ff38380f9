"""Tally: what became of the requests of one side, and the numbers made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Sample", "Summary", "Tally", "percentile"]


class Sample(NamedTuple):
    """One request. `due` is when it should have been sent, from which `seconds` count (open loop); both on the load's
    clock. `tries` is how many attempts it took, `address` who answered last, "" nobody."""

    due: float
    seconds: float
    ok: bool
    address: str
    tries: int
    phase: str


class Summary(NamedTuple):
    """Numbers of some samples; times in seconds."""

    requests: int
    lost: int
    retries: int
    p50: float
    p99: float
    p999: float

    @property
    def success(self) -> float:
        """Share of the requests that got an answer below 500; 1.0 without any."""
        return 1.0 - self.lost / self.requests if self.requests else 1.0


class Tally:
    """Filled by the load, on one event loop; read by the view from its thread: everything is only appended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.samples: list[Sample] = []
        self.errors: list[str] = []
        self.started = 0

    def add(self, sample: Sample, error: str = "") -> None:
        """A request is over."""
        self.samples.append(sample)
        if error:
            self.errors.append(error)

    def since(self, due: float) -> list[Sample]:
        """The samples that were due at `due` or later, as far as a look back from the end finds them."""
        found: list[Sample] = []
        for index in range(len(self.samples) - 1, -1, -1):
            sample = self.samples[index]
            if sample.due + sample.seconds < due:
                break
            if sample.due >= due:
                found.append(sample)
        return found

    def counts(self) -> dict[str, tuple[int, int]]:
        """Address to (answered, failed); failures of nobody in particular are under ""."""
        found: dict[str, list[int]] = {}
        for sample in self.samples[: len(self.samples)]:
            pair = found.setdefault(sample.address, [0, 0])
            pair[not sample.ok] += 1
        return {address: (good, bad) for address, (good, bad) in found.items()}

    def summary(self, phase: str | None = None) -> Summary:
        """Of all samples, or of those of a phase."""
        return summarised(one for one in self.samples if phase is None or one.phase == phase)


def summarised(samples: Iterable[Sample]) -> Summary:
    """The numbers of these samples. Times are of all of them, lost ones too: a user waits for an error as well."""
    chosen = list(samples)
    times = sorted(one.seconds for one in chosen)
    return Summary(
        requests=len(chosen),
        lost=sum(not one.ok for one in chosen),
        retries=sum(max(0, one.tries - 1) for one in chosen),
        p50=percentile(times, 0.5),
        p99=percentile(times, 0.99),
        p999=percentile(times, 0.999),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed (nearest rank); 0.0 of nothing."""
    if not ordered:
        return 0.0
    rank = -int(-share * len(ordered) // 1)
    return ordered[min(max(rank, 1), len(ordered)) - 1]
