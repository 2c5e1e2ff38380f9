"""Instruments, through the engine and the SDK's reader."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib import errors
from meshlib.core.listener import Event
from meshlib.telemetry import names
from meshlib.telemetry.contract import Watched
from meshlib.telemetry.metrics import Metrics, shared


def points(mini: Any, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
    return {tuple(sorted(point.attributes.items())): point for point in mini.numbers().get(name, [])}


def values(mini: Any, name: str, key: str) -> dict[Any, Any]:
    return {point.attributes.get(key): point.value for point in points(mini, name).values()}


def test_calls_and_attempts_are_separate(mini: Any) -> None:
    """A call of three attempts is one success, two failed attempts and a good one, and two retries."""
    mini.answers(503, ConnectionRefusedError, 200)
    mini.call()
    assert values(mini, names.CALLS, "meshlib.outcome") == {"success": 1}
    assert values(mini, names.ATTEMPTS, "meshlib.outcome") == {"failure": 2, "success": 1}
    assert values(mini, names.RETRIES, "meshlib.service") == {"orders": 2}


def test_attributes_never_hold_addresses(mini: Any) -> None:
    """No counter, gauge or histogram of ours names an endpoint."""
    mini.call(route="reports", subset="v2")
    mini.otel.event(
        Event("ejection", "orders", 0.0, {"node": "10.0.0.1:8080", "reason": "5 failures in a row"})
    )
    numbers = mini.numbers()
    [calls] = numbers[names.CALLS]
    assert dict(calls.attributes) == {
        "meshlib.service": "orders",
        "meshlib.route": "reports",
        "meshlib.cluster": "orders/v2",
        "meshlib.outcome": "success",
    }
    everything = [
        str(value) for found in numbers.values() for point in found for value in point.attributes.values()
    ]
    assert not [value for value in everything if "10.0.0.1" in value]


def test_durations(mini: Any) -> None:
    """The call's histogram spans its retries, the wire's has one point an attempt, both in the conventions' buckets."""
    from meshlib.testing import after

    mini.answers(after(0.2, 503), after(0.3, 200))
    mini.call()
    numbers = mini.numbers()
    [call] = numbers[names.CALL_DURATION]
    assert call.count == 1
    assert call.sum >= 0.5
    assert call.explicit_bounds == names.DURATION_BUCKETS
    wire = {
        point.attributes["http.response.status_code"]: point
        for point in numbers["http.client.request.duration"]
    }
    assert wire[503].sum == pytest.approx(0.2)
    assert wire[200].sum == pytest.approx(0.3)
    assert dict(wire[503].attributes) == {
        "http.request.method": "GET",
        "server.address": "orders",
        "server.port": 80,
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert wire[200].explicit_bounds == names.DURATION_BUCKETS


def test_error_without_status(mini: Any) -> None:
    """The wire histogram tells errors apart by their cause."""
    mini.answers(ConnectionRefusedError)
    with pytest.raises(ConnectionRefusedError):
        mini.call(attempts=1)
    [point] = mini.numbers()["http.client.request.duration"]
    assert point.attributes["error.type"] == "unsent"
    assert "http.response.status_code" not in point.attributes


def test_other_protocols_have_no_http_metric(mini: Any) -> None:
    """Only HTTP attempts are in the HTTP histogram."""
    mini.call(request=b"PING")
    numbers = mini.numbers()
    assert "http.client.request.duration" not in numbers
    assert names.CALL_DURATION in numbers


def test_refusals_by_reason(mini: Any) -> None:
    """A call without an endpoint is a refusal, and a call with that outcome."""
    with pytest.raises(errors.NoEndpointError):
        mini.call(fed=False)
    assert values(mini, names.REFUSALS, "meshlib.reason") == {"endpoint": 1}
    assert values(mini, names.CALLS, "meshlib.outcome") == {"refused": 1}


def test_cancelled_attempts_are_counted(mini: Any) -> None:
    """An attempt that never got a result is counted as cancelled, and so is its call."""

    def send(attempt: Any, request: Any) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mini.call(send=send)
    assert values(mini, names.ATTEMPTS, "meshlib.outcome") == {"cancelled": 1}
    assert values(mini, names.CALLS, "meshlib.outcome") == {"cancelled": 1}


def test_events(mini: Any) -> None:
    """Transitions, ejections, updates and refused policies are counted as they are told."""
    tell = mini.otel.event
    tell(Event("breaker", "orders", 0.0, {"from": "closed", "to": "open", "kind": "service", "reason": "x"}))
    tell(
        Event("breaker", "orders", 1.0, {"from": "open", "to": "half-open", "kind": "service", "reason": "x"})
    )
    tell(Event("ejection", "orders", 0.0, {"node": "a:1"}))
    tell(Event("endpoints", "orders", 0.0, {"now": 3}))
    tell(Event("policy", "", 0.0, {"version": "2"}))
    tell(Event("policy", "", 0.0, {"error": "key 'x' is unknown"}))
    tell(Event("something else", "", 0.0, {}))
    assert values(mini, names.BREAKER_TRANSITIONS, "meshlib.state") == {"open": 1, "half-open": 1}
    assert values(mini, names.EJECTIONS, "meshlib.service") == {"orders": 1}
    assert values(mini, names.DISCOVERY_UPDATES, "meshlib.service") == {"orders": 1}
    assert [point.value for point in mini.numbers()[names.POLICY_REFUSALS]] == [1]


def test_gauges_read_the_state(mini: Any) -> None:
    """What `state()` says is what the gauges show, read once for all of them."""
    looks: list[int] = []

    def state() -> dict[str, Any]:
        looks.append(1)
        return {"policy": {"age": 7.0}, "services": {"orders": {"budget": {"balance": 42}}}}

    mini.watched.state = state
    assert values(mini, names.BUDGET_BALANCE, "meshlib.service") == {"orders": 42}
    assert [point.value for point in mini.numbers()[names.POLICY_AGE]] == [7.0]
    assert len(looks) == 1
    mini.clock.advance(1.0)
    mini.numbers()
    assert len(looks) == 2


def test_closed_listener_is_not_read(mini: Any) -> None:
    """After `close` the state is asked for no more."""
    mini.state = {"policy": {"age": 7.0}}
    mini.otel.close()
    assert names.POLICY_AGE not in mini.numbers()


def test_abandoned_mesh_is_not_kept(mini: Any) -> None:
    """Watching a mesh does not keep it alive."""
    metrics = Metrics(mini.meters, clock=mini.clock)
    metrics.watch(Watched(lambda: {"policy": {"age": 1.0}}))
    assert metrics._states() == {}


def test_one_set_a_process() -> None:
    """All meshes share the instruments on the global provider, which is found absent without private knowledge failing."""
    assert shared("1") is shared("1")


def test_state_that_raises_harms_no_other_number(mini: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A failing `state` costs the gauges and nothing else."""

    def state() -> dict[str, Any]:
        raise RuntimeError("not now")

    mini.watched.state = state
    mini.call()
    assert values(mini, names.CALLS, "meshlib.outcome") == {"success": 1}


def test_fork_renews_locks(mini: Any) -> None:
    """A lock that was held at the fork does not stop the child."""
    metrics = mini.otel._metrics
    metrics._lock.acquire()
    metrics._tally._lock.acquire()
    metrics.after_in_child()
    metrics._tally.after_in_child()
    mini.call()
    assert values(mini, names.CALLS, "meshlib.outcome") == {"success": 1}
