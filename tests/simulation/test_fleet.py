"""The default balancer in a fleet: 100 clients that do not know of each other, 20 servers.

Short forms of `benchmarks/balancing.py`, which prints the whole table. A single run of 20,000 calls puts 200 of them above
its p99, so the bounds leave room for that noise and the comparison is within one seed.
"""

from __future__ import annotations

import pytest

from tests.simulation.fleets import BEST, POLICIES, run

CALLS = 20_000
SEED = 5


def p99(scenario: str, percent: int, policy: str) -> float:
    record = run(scenario, percent / 100, POLICIES[policy], SEED, CALLS)
    return record.percentile(0.99) * 1000


@pytest.mark.parametrize(
    ("scenario", "percent", "least"),
    [
        ("uniform", 70, 1.15),
        ("uniform", 90, 1.25),
        ("one_slow", 70, 1.15),
        ("one_slow", 90, 1.35),
        ("hetero", 70, 1.15),
        ("hetero", 90, 1.15),
        ("gc", 90, 1.25),
    ],
)
def test_p99_stays_near_the_best_policy_known(scenario: str, percent: int, least: float) -> None:
    """The best p99 of the reference's table, probing policies included, in milliseconds."""
    assert p99(scenario, percent, "p2c") <= least * BEST[scenario, percent]


@pytest.mark.parametrize(("scenario", "percent"), [("hetero", 90), ("gc", 90)])
def test_the_logarithm_beats_peak(scenario: str, percent: int) -> None:
    """Pauses fool Peak-EWMA for seconds, and it forgets what it knew of slow servers after a few fast answers."""
    assert p99(scenario, percent, "p2c") <= 0.95 * p99(scenario, percent, "peak2")


def test_a_third_choice_pays_among_unequal_servers() -> None:
    """With two draws the slow half cannot get less than 24 % of the calls, which is its capacity and a little more."""
    assert p99("hetero", 90, "p2c") <= 0.85 * p99("hetero", 90, "log2")


@pytest.mark.parametrize("percent", [70, 90])
def test_a_fast_failing_server_fails_next_to_nothing(percent: int) -> None:
    """Round robin fails 4.5 % of the calls there, and every policy that looks at latency or load alone at least as many."""
    assert run("fast_fail", percent / 100, POLICIES["p2c"], SEED, CALLS).success > 0.999


def test_load_alone_is_blind() -> None:
    """Least request knows only its own attempts in flight: a slow server among fast ones costs it time outs."""
    assert run("one_slow", 0.7, POLICIES["least"], SEED, CALLS).success < 0.995
    assert run("one_slow", 0.7, POLICIES["p2c"], SEED, CALLS).success > 0.9995


def test_the_same_seed_gives_the_same_percentiles() -> None:
    """A simulation can be quoted."""
    first, second = (run("gc", 0.9, POLICIES["p2c"], SEED, 3000) for _ in range(2))
    assert first.times == second.times
