"""state(): what a mesh knows at this moment, as plain values for JSON (docs/reference/state.md)."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from meshlib.balancing.ewma import cost
from meshlib.core.deadline import NEVER

if TYPE_CHECKING:
    from meshlib.engine.cluster import Cluster
    from meshlib.engine.node import Node
    from meshlib.runtime.runtime import Runtime
    from meshlib.runtime.service import Service

__all__ = ["cluster_state", "service_state", "state"]

VERSION = 1
"""Of the shape below. Keys are only ever added."""


def state(runtime: Runtime, *, brief: bool = False) -> dict[str, Any]:
    """Everything a mesh knows now. Safe from any thread while calls, snapshots and policies change; blocks nobody.

    Each service is consistent in itself as far as one reader without a lock can see it: counters of a node are read one
    after the other. Ages and `until` are seconds from now, numbers are finite, nothing is a secret. `brief` counts the nodes
    of a cluster by state instead of listing them: for gauges that are read every few seconds, whatever the size.
    """
    now = runtime.clock()
    policy = runtime.policy
    mesh = policy.document.mesh
    return {
        "version": VERSION,
        "mesh": {"service": mesh.service, "zone": mesh.zone, "labels": dict(mesh.labels)},
        "policy": {
            "version": policy.version,
            "source": policy.source,
            "age": _age(policy.received, now),
            "error": runtime.policy_error,
        },
        "identities": [] if runtime._identities is None else runtime._identities.state(),
        "services": {key: service_state(service, now, brief) for key, service in _copied(runtime.services)},
    }


def service_state(service: Service, now: float, brief: bool = False) -> dict[str, Any]:
    """One service's part of it."""
    balancer = service.policy.balancer.name
    clusters = {
        subset: _counts(cluster, now) if brief else cluster_state(cluster, balancer, now)
        for subset, cluster in _copied(service.clusters)
    }
    snapshot, source = service.snapshot, service.source
    return {
        "discovery": {
            "source": "passthrough" if source is None else source.text,
            "age": None if snapshot is None else _age(snapshot.received, now),
            "version": "" if snapshot is None else snapshot.version,
            "error": service.problem,
        },
        "breaker": _breaker(service, now),
        "budget": _budget(service, now),
        "limit": _limit(service, clusters),
        "tls": _tls(service),
        "clusters": clusters,
    }


def cluster_state(cluster: Cluster, balancer: str, now: float) -> dict[str, Any]:
    """One cluster's: the nodes of the set in published order, then those that left and are draining."""
    cluster.collect(
        now
    )  # a body that was forgotten is in flight no more, whether another call follows or not
    nodes = [node for _, node in _copied(cluster.nodes)] + [node for _, node in _copied(cluster.departed)]
    return {"balancer": balancer, "nodes": [_node(node, now) for node in nodes]}


def _counts(cluster: Cluster, now: float) -> dict[str, Any]:
    endpoints: dict[str, int] = {}
    in_flight = 0
    for table in (cluster.nodes, cluster.departed):
        for _, node in _copied(table):
            word = node.state(now)
            endpoints[word] = endpoints.get(word, 0) + 1
            in_flight += node.in_flight
    return {"endpoints": endpoints, "in_flight": in_flight}


def _node(node: Node, now: float) -> dict[str, Any]:
    endpoint, barrier = node.endpoint, node.barrier
    learned = cost(node, now) if node.ewma else None
    return {
        "address": endpoint.address,
        "zone": endpoint.zone,
        "weight": endpoint.weight,
        "labels": dict(endpoint.labels),
        "in_flight": node.in_flight,
        "cost": learned,
        "state": node.state(now),
        "until": barrier - now if now < barrier < NEVER else None,
        "calls": node.calls,
        "failures": node.failures,
    }


def _breaker(service: Service, now: float) -> dict[str, Any] | None:
    if service.policy.breaker is None:
        return None
    found = service.runtime.keep.known("breaker", "service", service.key)
    if found is None:
        return {"state": "closed", "since": None, "until": None}
    said = found.describe(now)
    return {key: said[key] for key in ("state", "since", "until")}


def _budget(service: Service, now: float) -> dict[str, Any] | None:
    retry = service.policy.retry
    if retry is None or not retry.budget:
        return None
    found = service.runtime.keep.known("budget", service.key)
    return {"balance": retry.budget.floor * retry.budget.window if found is None else found.balance(now)}


def _limit(service: Service, clusters: dict[str, Any]) -> dict[str, Any]:
    limit = service.policy.limit
    found = service.runtime.keep.known("limit", service.key)
    if limit is None or limit.concurrency is None or found is None:
        used = sum(map(_in_flight, clusters.values()))
        return {"used": used, "limit": None if limit is None else limit.concurrency, "queued": 0}
    said: dict[str, Any] = found.describe()
    return said


def _tls(service: Service) -> dict[str, Any] | None:
    security = service.security
    if security is None:
        return None
    options = security.options
    return {
        "mode": options.mode,
        "accepts": [*options.spiffe_ids, *options.sans],
        "identity": security.rotation.name,
        "version": security.version,
    }


def _in_flight(cluster: dict[str, Any]) -> int:
    known: int | None = cluster.get("in_flight")
    return sum(node["in_flight"] for node in cluster["nodes"]) if known is None else known


def _age(received: float, now: float) -> float:
    return max(0.0, now - received) if isfinite(received) else 0.0


def _copied(table: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The items of a dict that other threads change: copying is atomic under the GIL, and repeated where it is not."""
    for _ in range(8):
        try:
            return list(table.items())
        except RuntimeError:
            continue
    return []
