"""vcrpy replaces `handle_request` of the family's transports: every attempt is on the cassette, under the service's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.tools_kit import ATTEMPTS, CALLS, FAMILIES, ROUNDS, Exchange, alone, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def recorded_and_replayed(family: str, folder: str) -> Any:
    """An exchange that is recorded, and the same once more from the cassette."""
    import vcr

    tape = str(Path(folder) / "tape.yaml")
    with vcr.use_cassette(tape, record_mode="once") as cassette:
        first = Exchange(family).run()
        recorded = [f"{request.method} {request.uri}" for request in cassette.requests]
    with vcr.use_cassette(tape, record_mode="none") as cassette:
        second = Exchange(family).run()
        played = cassette.play_count
    return {
        "statuses": [first.statuses, second.statuses],
        "requests": [len(first.requests), len(second.requests)],
        "recorded": recorded,
        "played": played,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_attempts_are_recorded_and_replayed(family: str, tmp_path: Path) -> None:
    """All of them once, with names that hold on the next machine; the replay asks no server, and retries as before."""
    needs("vcr")
    seen = alone(recorded_and_replayed, family, str(tmp_path))
    assert seen["statuses"] == [[200] * ROUNDS * CALLS] * 2
    assert seen["requests"] == [ROUNDS * ATTEMPTS, 0]
    calls = ["GET http://orders/first"] * 2 + ["POST http://orders/second", "GET http://orders/third"]
    assert seen["recorded"] == calls * ROUNDS
    assert seen["played"] == ROUNDS * ATTEMPTS
