"""An attempt on a node, without a network, in every client family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.core.snapshot import EndpointSet
from meshlib.engine.attempt import Attempt
from meshlib.engine.cluster import Cluster
from meshlib.engine.compile import balancer_of
from meshlib.engine.plan import CallPlan
from meshlib.policy.spec import BalancerOptions
from meshlib.transport.binding import Binding
from meshlib.transport.families import family

Begun = Callable[..., Attempt]


@pytest.fixture(params=["httpx", "httpx2"])
def binding(request: pytest.FixtureRequest) -> Binding:
    """One client family after the other."""
    pytest.importorskip(request.param)
    found: Binding = family(request.param).BINDING
    return found


@pytest.fixture
def http(binding: Binding) -> Any:
    """The family's own module."""
    return binding.module


@pytest.fixture
def begun(binding: Binding) -> Begun:
    """`begun(request, host=..., port=..., now=100.0, flags=0, **plan)` gives an attempt that was just begun."""

    def make(
        request: Any = None,
        *,
        host: str = "10.0.0.1",
        port: int = 8080,
        now: float = 100.0,
        flags: int = 0,
        **options: Any,
    ) -> Attempt:
        cluster = Cluster("orders", balancer_of(BalancerOptions(name="round_robin")), lambda: 0.5)
        for _ in cluster.apply(EndpointSet((Endpoint(host=host, port=port),), source="test"), now):
            pass
        plan = CallPlan("orders", cluster, binding, lambda: 0.5, **options)
        call = plan.open(request or binding.Request("GET", "http://orders/a?b=1"), now, flags)
        attempt = call.begin(now)
        assert isinstance(attempt, Attempt)
        return attempt

    return make
