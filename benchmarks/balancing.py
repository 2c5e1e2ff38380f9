"""How good the balancers' choices are: `python -m benchmarks.balancing [--full] [--only SCENARIO]...`.

Not a measurement of speed: the shipped engine and balancers run in virtual time against modelled servers, so the figures
depend on the seeds and on nothing else, on any machine. Short form: 1 seed of 20,000 calls a cell, about two minutes;
`--full`: seeds 0 to 2 of 60,000 calls. The first virtual second is not counted.

100 clients that know nothing of each other, 20 servers of 4 cores with one line each, log-normal service times (mean 10 ms,
sigma 1), 0.5 ms of network each way, Poisson arrivals, 1 s timeout, neither retries nor ejection. one_slow: one server 10
times slower; hetero: half of them at 0.5, half at 1.5 times the speed; gc: every server stops for 200 ms about every 5 s;
fast_fail: one server answers 90 % of its requests with an error in 1 ms; errors: every server does with 2 %. Percentiles are
over answers and timeouts, not over such errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import mean

from tests.simulation.fleets import BEST, POLICIES, run
from tests.simulation.model import Record
from tests.simulation.stall import stalled

CELLS = [
    (scenario, percent)
    for scenario in ("uniform", "one_slow", "hetero", "gc", "fast_fail", "errors")
    for percent in (70, 90)
]


def milliseconds(records: Sequence[Record], share: float) -> float:
    return mean(record.percentile(share) for record in records) * 1000


def cell(scenario: str, percent: int, seeds: int, calls: int) -> None:
    """One row a policy: p50/p99/p99.9, what failed, and p99 against the best here and the best ever reported."""
    rows = {
        policy: [run(scenario, percent / 100, options, seed, calls) for seed in range(seeds)]
        for policy, options in POLICIES.items()
    }
    best = min(milliseconds(records, 0.99) for records in rows.values())
    reference = BEST.get((scenario, percent))
    for policy, records in rows.items():
        p50, p99, p999 = (milliseconds(records, share) for share in (0.5, 0.99, 0.999))
        failed = 100 * sum(record.bad for record in records) / sum(record.calls for record in records)
        spread = sorted(round(record.percentile(0.99) * 1000) for record in records)
        against = f"{p99 / reference:.2f}" if reference else "-"
        print(
            f"| {scenario} {percent} % | {policy} | {p50:.0f} | {p99:.0f} ({spread[0]}-{spread[-1]}) | {p999:.0f} "
            f"| {failed:.2f} | {p99 / best:.2f} | {against} |",
            flush=True,
        )


def stall(seeds: int) -> None:
    """The stalled-node case for each policy, without and with ejection."""
    print("\n| stalled node | clients | success % | with ejection % |\n|---|---|---|---|")
    for policy in POLICIES:
        for clients in (1, 10, 100):
            plain, ejecting = (
                100 * mean(stalled(policy, seed, clients, ejection=on) for seed in range(seeds))
                for on in (False, True)
            )
            print(f"| {policy} | {clients} | {plain:.3f} | {ejecting:.3f} |", flush=True)


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="three seeds of 60,000 calls a cell")
    parser.add_argument("--only", action="append", help="a scenario, or 'stall'; may be given several times")
    arguments = parser.parse_args()
    seeds, calls = (3, 60_000) if arguments.full else (1, 20_000)
    print(
        f"Virtual time, seeds 0 to {seeds - 1}, {calls:,} calls a run; times in ms, p99 with its range over the seeds.\n"
    )
    print("| scenario | policy | p50 | p99 | p99.9 | failed % | p99 / best here | p99 / best reported |")
    print("|---|---|---|---|---|---|---|---|")
    for scenario, percent in CELLS:
        if not arguments.only or scenario in arguments.only:
            cell(scenario, percent, seeds, calls)
    if not arguments.only or "stall" in arguments.only:
        stall(seeds)


if __name__ == "__main__":
    main()
