"""Gauges: what `state()` says, as numbers with attributes. Pure; knows no OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from meshlib.telemetry import names

__all__ = ["BREAKER_STATES", "Reading", "read_states"]

BREAKER_STATES = ("closed", "open", "half-open")
"""Each is a series of its own, 1 for the state that holds and 0 for the others: numbers for states need a legend."""

Labels = tuple[tuple[str, str], ...]
Reading = dict[str, dict[Labels, float]]

# What several meshes of one process say of the same service: numbers of things add up, of ages and states the worst shows.
_FOLD: dict[str, Any] = {
    names.ENDPOINTS: lambda a, b: a + b,
    names.IN_FLIGHT: lambda a, b: a + b,
    names.BUDGET_BALANCE: min,
    names.BREAKER_STATE: max,
    names.DISCOVERY_AGE: max,
    names.POLICY_AGE: max,
}


def read_states(states: Iterable[Mapping[str, Any]]) -> Reading:
    """The gauges of all meshes, by instrument and attributes. What a state lacks is left out."""
    reading: Reading = {}
    for state in states:
        _take(reading, names.POLICY_AGE, (), _at(state, "policy", "age"))
        for name, service in (state.get("services") or {}).items():
            labels = ((names.SERVICE, str(name)),)
            _take(reading, names.DISCOVERY_AGE, labels, _at(service, "discovery", "age"))
            _take(reading, names.BUDGET_BALANCE, labels, _at(service, "budget", "balance"))
            _breaker(reading, labels, _at(service, "breaker", "state"))
            for subset, cluster in (service.get("clusters") or {}).items():
                label = f"{name}/{subset}" if subset else str(name)
                _cluster(reading, (*labels, (names.CLUSTER, label)), cluster)
    return reading


def _breaker(reading: Reading, labels: Labels, state: Any) -> None:
    if state is not None:
        for known in BREAKER_STATES:
            _take(reading, names.BREAKER_STATE, (*labels, (names.STATE, known)), float(known == state))


def _cluster(reading: Reading, labels: Labels, cluster: Mapping[str, Any]) -> None:
    counts, in_flight = cluster.get("endpoints"), cluster.get("in_flight")
    nodes = cluster.get("nodes") or ()
    if counts is None:
        counts = {}
        for node in nodes:
            counts[node.get("state", "ready")] = counts.get(node.get("state", "ready"), 0) + 1
    if in_flight is None:
        in_flight = sum(node.get("in_flight", 0) for node in nodes)
    for state, count in counts.items():
        _take(reading, names.ENDPOINTS, (*labels, (names.STATE, str(state))), count)
    _take(reading, names.IN_FLIGHT, labels, in_flight)


def _take(reading: Reading, instrument: str, labels: Labels, value: Any) -> None:
    if value is None:
        return
    series = reading.setdefault(instrument, {})
    known = series.get(labels)
    series[labels] = value if known is None else _FOLD[instrument](known, value)


def _at(table: Mapping[str, Any], group: str, key: str) -> Any:
    inner = table.get(group)
    return None if inner is None else inner.get(key)
