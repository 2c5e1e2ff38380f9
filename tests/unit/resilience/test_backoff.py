"""Waits between retries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import tenacity

from meshlib.errors import ConfigError
from meshlib.resilience.backoff import (
    Backoff,
    BackoffOptions,
    Constant,
    Decorrelated,
    EqualJitter,
    Exponential,
    FullJitter,
    Sequence,
    adapted,
    build,
    doubled,
    spread,
)


def low() -> float:
    return 0.0


def half() -> float:
    return 0.5


def high() -> float:
    return 1.0 - 2**-53


def series(backoff: Backoff, random: Any, count: int = 5) -> list[float]:
    return [round(backoff.delay(retry, random), 4) for retry in range(1, count + 1)]


def test_full_jitter_spans_from_zero_to_the_exponential() -> None:
    """25 ms doubled to 250 ms, and anything below it."""
    assert series(FullJitter(), low) == [0.0] * 5
    assert series(FullJitter(), half) == [0.0125, 0.025, 0.05, 0.1, 0.125]
    assert series(FullJitter(), high) == [0.025, 0.05, 0.1, 0.2, 0.25]


def test_equal_jitter_keeps_half() -> None:
    """Never below half of the exponential wait."""
    assert series(EqualJitter(), low) == [0.0125, 0.025, 0.05, 0.1, 0.125]
    assert series(EqualJitter(), high) == [0.025, 0.05, 0.1, 0.2, 0.25]


def test_exponential_has_no_jitter() -> None:
    """The same for every random number."""
    assert series(Exponential(1.0, 3.0, 20.0), low) == series(Exponential(1.0, 3.0, 20.0), high)
    assert series(Exponential(1.0, 3.0, 20.0), low) == [1.0, 3.0, 9.0, 20.0, 20.0]


def test_decorrelated_draws_between_base_and_thrice_the_longest_previous() -> None:
    """The envelope of AWS's decorrelated jitter, without its memory."""
    assert series(Decorrelated(), low) == [0.005] * 5
    assert series(Decorrelated(), high) == [0.015, 0.045, 0.135, 0.2, 0.2]


def test_constant_may_be_spread() -> None:
    """Plus or minus its share; exact without one."""
    assert series(Constant(2.0), low, 2) == [2.0, 2.0]
    assert [series(Constant(2.0, 0.25), random, 1)[0] for random in (low, half, high)] == [1.5, 2.0, 2.5]


def test_a_sequence_stays_at_its_last() -> None:
    """As many as written, then the last one."""
    assert series(Sequence([0.1, 1, 5]), low) == [0.1, 1.0, 5.0, 5.0, 5.0]
    assert Sequence([1]) == Sequence((1.0,)) != Sequence([2])
    assert len({Sequence([1]), Sequence([1.0])}) == 1
    assert repr(Sequence([1])) == "Sequence((1.0,))"


def test_growth_cannot_overflow() -> None:
    """Retry number 100,000 waits the cap."""
    assert FullJitter(1.0, 2.0, 7.0).delay(100_000, half) == 3.5
    assert doubled(1.0, 60.0, 100_000) == 60.0


def test_doubling_never_falls_below_its_base() -> None:
    """A maximum below the base is no reason to shorten the first wait."""
    assert [doubled(5.0, 60.0, times) for times in range(6)] == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert doubled(90.0, 60.0, 3) == 90.0


def test_spread_keeps_the_mean() -> None:
    """Plus or minus the share."""
    assert [round(spread(10.0, 0.5, random), 6) for random in (low, half, high)] == [5.0, 10.0, 15.0]


@pytest.mark.parametrize(
    ("jitter", "kind"), [("full", FullJitter), ("equal", EqualJitter), ("none", Exponential)]
)
def test_options_build_their_backoff(jitter: Any, kind: type) -> None:
    """Each word of `jitter` has its class, with the options' numbers."""
    built = build(BackoffOptions(base=1.0, factor=3.0, cap=9.0, jitter=jitter))
    assert type(built) is kind
    assert built.delay(5, high) == pytest.approx(9.0)


def test_default_options_are_the_documented_wait() -> None:
    """Full jitter 25 ms x 2^n, at most 250 ms."""
    assert build(BackoffOptions()) == FullJitter(0.025, 2.0, 0.25)


def test_wrong_options_say_what_is_wrong() -> None:
    """Durations may be text; unknown words and shrinking factors are refused."""
    with pytest.raises(ConfigError, match=r"retry\.wait\.jitter.*retry\.wait|retry\.wait\.factor"):
        BackoffOptions(factor=0.5, jitter="some")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: FullJitter(-1.0),
        lambda: EqualJitter(1.0, 0.5),
        lambda: Exponential(1.0, 2.0, float("nan")),
        lambda: Decorrelated(1.0, 0.5),
        lambda: Constant(-1.0),
        lambda: Constant(1.0, 1.5),
        lambda: Sequence([]),
        lambda: Sequence([1.0, -1.0]),
    ],
)
def test_impossible_waits_are_refused_when_built(make: Any) -> None:
    """Not in the middle of a call."""
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (tenacity.wait_fixed(2), [2.0, 2.0, 2.0]),
        (tenacity.wait_none(), [0.0, 0.0, 0.0]),
        (tenacity.wait_fixed(timedelta(milliseconds=250)), [0.25, 0.25, 0.25]),
        (tenacity.wait_incrementing(start=1, increment=2, max=4), [1.0, 3.0, 4.0]),
        (tenacity.wait_exponential(multiplier=1, max=3), [1.0, 2.0, 3.0]),
        (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(9)), [1.0, 9.0, 9.0]),
        (tenacity.wait_fixed(1) + tenacity.wait_fixed(2), [3.0, 3.0, 3.0]),
        (lambda state: state.attempt_number * 10 + state.idle_for, [10.0, 20.0, 30.0]),
        (lambda state: -1.0, [0.0, 0.0, 0.0]),
    ],
)
def test_tenacity_waits_are_adapted(wait: Any, expected: list[float]) -> None:
    """tenacity's own waits, and any callable with their shape, answer as they do under tenacity."""
    assert series(adapted(wait), low, 3) == expected


@pytest.mark.parametrize(
    "wait",
    [
        tenacity.wait_random(1, 2),
        tenacity.wait_random_exponential(multiplier=1, min=1, max=2),
        tenacity.wait_exponential_jitter(max=2, min=1),
    ],
)
def test_tenacity_jitter_stays_in_its_range(wait: Any) -> None:
    """Jitter drawn by tenacity itself."""
    assert all(1.0 <= delay <= 2.0 for delay in series(adapted(wait), low))


def test_a_wait_that_needs_the_outcome_is_refused_when_adapted() -> None:
    """A wait is asked without the result: better told when the policy is built."""
    with pytest.raises(ConfigError, match="cannot be used as a wait"):
        adapted(tenacity.wait_exception(lambda error: 1.0))
    with pytest.raises(ConfigError, match="cannot be used as a wait"):
        adapted(lambda state: "soon")


def test_an_adapted_wait_shows_its_origin() -> None:
    """For explain."""
    assert "wait_fixed" in repr(adapted(tenacity.wait_fixed(1)))
