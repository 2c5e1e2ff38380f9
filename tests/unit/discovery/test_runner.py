"""The runner stands between a resolver's errors and the last good set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery.runner import pause
from meshlib.errors import ConfigError, DiscoveryError


class Played:
    """A resolver that publishes sets and raises errors in turn; a restart goes on where it ended."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)

    def check(self, target: Any) -> None:
        """Anything goes."""

    async def watch(self, target: Any, io: Any, publish: Any) -> None:
        """Step by step."""
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, BaseException):
                raise step
            publish(step)


def some(*ports: int) -> EndpointSet:
    return EndpointSet(Endpoint(host="h", port=port) for port in ports)


def test_stamps_source_and_time(kept: Any, script: Any) -> None:
    """Without the options that hold credentials."""
    said = kept("static://a?token_file=/secret", Played(some(1)))
    assert said.sets[0].source == "static://a"
    assert said.sets[0].received == 1000.0


def test_confirmation_has_the_same_endpoints_object(kept: Any) -> None:
    """`is` tells a confirmation from a change, whatever the size."""
    said = kept("static://a", Played(some(1, 2), some(1, 2), some(2)))
    assert said.sets[0].endpoints is said.sets[1].endpoints
    assert said.sets[1].endpoints is not said.sets[2].endpoints


def test_error_is_said_once_and_cleared(kept: Any, script: Any) -> None:
    """The set stays, the pauses double, and a good answer begins anew."""
    script.naps = 9
    lost = [DiscoveryError("lost")] * 3
    said = kept("static://a", Played(some(1), *lost, some(2), OSError(113, "No route"), some(3)))
    assert said.addresses == [["h:1"], ["h:2"], ["h:3"]]
    assert said.problems == ["static://a: lost", "", "static://a: No route", ""]
    assert script.sleeps == [0.5, 1.0, 2.0, 0.5]


def test_config_error_is_tried_every_second(kept: Any, script: Any) -> None:
    """What a person mends is looked at often."""
    script.naps = 9
    kept("static://a", Played(*[ConfigError("wrong")] * 5))
    assert script.sleeps == [1.0] * 5


def test_pause_grows_to_a_minute_and_is_drawn() -> None:
    """Half is certain, half is chance."""
    assert [pause(n, 0.0) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert pause(1, 1.0) == 1.0
    assert (pause(100, 0.0), pause(10**9, 1.0)) == (30.0, 60.0)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        [],
        EndpointSet([Endpoint(host="")]),
        EndpointSet([Endpoint(host="h", port=70000)]),
        EndpointSet([Endpoint(host="h", port=-1)]),
        EndpointSet([Endpoint(host="h", weight=float("nan"))]),
        EndpointSet([Endpoint(host="h", weight=float("inf"))]),
        EndpointSet([Endpoint(host="h", weight=-1.0)]),
        EndpointSet([Endpoint(host="h", priority=-1)]),
        EndpointSet([Endpoint(host=b"h")]),  # type: ignore[arg-type]
    ],
)
def test_garbage_is_refused_whole(kept: Any, garbage: Any) -> None:
    """The set before it stays, and the problem says what is wrong."""
    said = kept("static://a", Played(some(1), garbage))
    assert said.addresses == [["h:1"]]
    assert len(said.problems) == 1
    assert "published" in said.problems[0]


def test_bug_in_a_resolver_is_a_problem_not_a_crash(kept: Any) -> None:
    """Any Exception, with its type."""
    assert kept("static://a", Played(ZeroDivisionError("oh"))).problems == [
        "static://a: ZeroDivisionError: oh"
    ]


def test_cancellation_is_nobodys_failure(kept: Any) -> None:
    """It ends the watch without a word."""
    with pytest.raises(asyncio.CancelledError):
        kept("static://a", Played(asyncio.CancelledError()))


def test_returning_ends_the_watch(kept: Any, script: Any) -> None:
    """A set that never changes needs no watching."""
    assert kept("static://a:1").addresses == [["a:1"]]
    assert script.sleeps == []
