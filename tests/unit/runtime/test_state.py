"""What `state()` says, and that it never fails while things change."""

from __future__ import annotations

import json
from threading import Thread
from typing import Any

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import parse, service_key
from meshlib.engine.attempt import Attempt
from meshlib.mesh import Mesh
from meshlib.runtime.plain import PlainRequest, family_of
from meshlib.runtime.state import state

FAMILY = family_of((OSError,))
FAILED = Outcome(Kind.FAILURE, "503", "answered 503", delivered="yes")


def mesh_with(**policy: Any) -> Mesh:
    table = {"discovery": "static://10.0.0.1:80,10.0.0.2:80", **policy}
    return Mesh(policy={"version": 1, "mesh": {"service": "web", "zone": "a"}, "services": {"orders": table}})


def called(mesh: Mesh, outcome: Outcome = OK) -> Any:
    """One call through the engine, nothing sent."""
    runtime = mesh.runtime
    request = PlainRequest("orders")
    call = runtime.plan(FAMILY, request).open(request, runtime.clock(), 4)
    attempt = call.begin(runtime.clock())
    assert isinstance(attempt, Attempt)
    call.finish(attempt, outcome, runtime.clock())
    call.close(runtime.clock())
    return attempt


def test_keys_are_the_promised_ones() -> None:
    """The shape that docs/reference/state.md describes, key by key."""
    with mesh_with() as mesh:
        called(mesh)
        said = mesh.state()
        assert list(said) == ["version", "mesh", "policy", "identities", "services"]
        assert list(said["policy"]) == ["version", "source", "age", "error"]
        orders = said["services"]["orders"]
        assert list(orders) == ["discovery", "breaker", "budget", "limit", "tls", "clusters"]
        assert list(orders["discovery"]) == ["source", "age", "version", "error"]
        assert list(orders["breaker"]) == ["state", "since", "until"]
        assert list(orders["budget"]) == ["balance"]
        assert list(orders["limit"]) == ["used", "limit", "queued"]
        assert list(orders["clusters"][""]) == ["balancer", "nodes"]
        node = orders["clusters"][""]["nodes"][0]
        assert list(node) == [
            "address", "zone", "weight", "labels", "in_flight", "cost", "state", "until", "calls", "failures",
        ]  # fmt: skip


def test_nothing_called_yet() -> None:
    """A mesh without calls has an identity and a policy, and no service."""
    with mesh_with() as mesh:
        said = mesh.state()
        assert said["mesh"]["service"] == "web"
        assert said["services"] == {}
        json.dumps(said)


def test_counts_and_costs() -> None:
    """Attempts, failures, the budget's deposit and the learned cost are the engine's."""
    with mesh_with() as mesh:
        called(mesh)
        called(mesh, FAILED)
        orders = mesh.state()["services"]["orders"]
        nodes = orders["clusters"][""]["nodes"]
        assert sum(node["calls"] for node in nodes) == 2
        assert sum(node["failures"] for node in nodes) == 1
        assert any(node["cost"] is not None and node["cost"] > 0 for node in nodes)
        assert all(node["state"] == "ready" and node["until"] is None for node in nodes)
        assert orders["breaker"] == {"state": "closed", "since": None, "until": None}


def test_groups_that_are_off() -> None:
    """No breaker and no budget are null; no limit is a limit of null that still counts."""
    with mesh_with(breaker=False, retry=False) as mesh:
        called(mesh)
        orders = mesh.state()["services"]["orders"]
        assert orders["breaker"] is None
        assert orders["budget"] is None
        assert orders["limit"] == {"used": 0, "limit": None, "queued": 0}


def test_limit_in_use() -> None:
    """An attempt in flight holds a slot of the limit and shows on its node."""
    with mesh_with(limit={"concurrency": 3}) as mesh:
        runtime = mesh.runtime
        request = PlainRequest("orders")
        call = runtime.plan(FAMILY, request).open(request, runtime.clock())
        call.begin(runtime.clock())
        orders = mesh.state()["services"]["orders"]
        assert orders["limit"] == {"used": 1, "limit": 3, "queued": 0}
        assert sum(node["in_flight"] for node in orders["clusters"][""]["nodes"]) == 1
        call.close(runtime.clock())
        assert mesh.state()["services"]["orders"]["limit"]["used"] == 0


def test_open_breaker() -> None:
    """An open breaker says since when and for how long."""
    with mesh_with(breaker={"consecutive_failures": 1}, retry=False) as mesh:
        called(mesh, FAILED)
        breaker = mesh.state()["services"]["orders"]["breaker"]
        assert breaker["state"] == "open"
        assert breaker["since"] >= 0
        assert breaker["until"] > 0


def test_credentials_stay_out() -> None:
    """Options of a discovery URI that refer to credentials are not shown."""
    with mesh_with() as mesh:
        service = mesh.runtime.service(service_key("orders"))
        service.source = parse("consul://agent:8500/orders?dc=eu&token_env=SECRET_TOKEN")
        text = json.dumps(mesh.state())
        assert "dc=eu" in text
        assert "SECRET_TOKEN" not in text


def test_departed_nodes_drain() -> None:
    """An instance that left the set is listed as draining after those that are in it."""
    with mesh_with() as mesh:
        called(mesh)
        service = mesh.runtime.services["orders"]
        service.publish_now(EndpointSet([Endpoint(host="10.0.0.9", port=80)], source="test"))
        nodes = mesh.state()["services"]["orders"]["clusters"][""]["nodes"]
        assert [(node["address"], node["state"]) for node in nodes] == [
            ("10.0.0.9:80", "ready"),
            ("10.0.0.1:80", "draining"),
            ("10.0.0.2:80", "draining"),
        ]


@pytest.mark.timeout(30)
def test_never_fails_while_sets_change() -> None:
    """Snapshots are applied on another thread as fast as they can be; every state in between is whole."""
    with mesh_with() as mesh:
        called(mesh)
        service = mesh.runtime.services["orders"]
        stop = False

        def churn() -> None:
            number = 0
            while not stop:
                number += 1
                hosts = [f"10.0.{number % 5}.{index}" for index in range(20)]
                service.publish_now(EndpointSet([Endpoint(host=host, port=80) for host in hosts]))

        thread = Thread(target=churn)
        thread.start()
        try:
            for _ in range(50):
                nodes = state(mesh.runtime)["services"]["orders"]["clusters"][""]["nodes"]
                assert len(nodes) >= 20
        finally:
            stop = True
            thread.join()


def test_brief_counts_instead_of_listing() -> None:
    """The same services with counts by state: what gauges read, and what the limit uses is still known."""
    with mesh_with() as mesh:
        runtime = mesh.runtime
        request = PlainRequest("orders")
        call = runtime.plan(FAMILY, request).open(request, runtime.clock(), 4)
        call.begin(runtime.clock())
        said = state(runtime, brief=True)["services"]["orders"]
        assert said["clusters"] == {"": {"endpoints": {"ready": 2}, "in_flight": 1}}
        assert said["limit"]["used"] == 1
        call.close(runtime.clock())
