"""What a call adds to its response."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from meshlib.core.outcome import Kind, Outcome
from meshlib.engine.attempt import Attempt
from meshlib.transport.response import History, annotate

Begun = Callable[..., Attempt]


def ended(begun: Begun) -> Attempt:
    """An attempt that was answered with 503."""
    attempt = begun()
    attempt.call.finish(attempt, Outcome(Kind.FAILURE, "503", "answered 503", delivered="yes"), 100.012)
    return attempt


def test_history_is_a_mapping(begun: Begun) -> None:
    """With the design's keys, readable as a dict, and picklable as one."""
    history = History(ended(begun))
    assert list(history) == ["attempts", "cluster", "node", "budget", "variant"]
    assert (history["cluster"], history["node"], history["budget"]) == ("orders", "10.0.0.1:8080", None)
    assert [str(facts) for facts in history["attempts"]] == ["10.0.0.1:8080 answered 503 in 12 ms"]
    assert pickle.loads(pickle.dumps(history)) == dict(history)
    with pytest.raises(KeyError):
        history["nonsense"]


def response(attempt: Attempt, status: int) -> Any:
    """As a wire makes it, and as a client completes it."""
    family = attempt.call.plan.family
    made = family.response(
        attempt, status, [(b"X-A", b"1")], family.ByteStream(b"body"), {"reason_phrase": b"Odd"}
    )
    made.request = attempt.call.request
    return made


def test_a_response_is_the_familys(begun: Begun, http: Any) -> None:
    """With what the wire read, and the history among its extensions; it pickles as the family's do."""
    made = response(ended(begun), 503)
    assert isinstance(made, http.Response)
    assert (made.read(), made.headers["x-a"], made.reason_phrase) == (b"body", "1", "Odd")
    assert made.extensions["meshlib"]["cluster"] == "orders"
    twin = pickle.loads(pickle.dumps(made))
    assert (type(twin), twin.content) == (type(made), b"body")
    with pytest.raises(http.HTTPStatusError):
        twin.raise_for_status()


def test_raise_for_status_tells_the_attempts(begun: Begun, http: Any) -> None:
    """When there were several."""
    first = ended(begun)
    assert response(first, 200).raise_for_status().status_code == 200
    with pytest.raises(http.HTTPStatusError) as alone:
        response(first, 503).raise_for_status()
    assert "After" not in str(alone.value)
    second = ended(begun)
    second.previous = first
    with pytest.raises(http.HTTPStatusError, match=r"After 2 attempts: .*; .*answered 503 in 12 ms") as both:
        response(second, 503).raise_for_status()
    assert both.value.response.status_code == 503


def test_responses_of_others_get_their_history(begun: Begun, http: Any) -> None:
    """In the same place."""
    foreign = annotate(http.Response(200), ended(begun))
    assert foreign.extensions["meshlib"]["node"] == "10.0.0.1:8080"
