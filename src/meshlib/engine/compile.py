"""Compile: a service's policy and its kept state into one flat CallPlan. Pure; runs on the control path."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshlib.balancing import BALANCERS
from meshlib.core.listener import Event, Listener
from meshlib.engine.plan import CallPlan
from meshlib.resilience.retry import RetryPolicy

if TYPE_CHECKING:
    from meshlib.balancing.base import Balancer
    from meshlib.engine.cluster import Cluster
    from meshlib.engine.family import Family
    from meshlib.engine.keep import Keep
    from meshlib.policy.groups import BalancerOptions
    from meshlib.policy.spec import ServicePolicy

__all__ = ["balancer_of", "compiled"]


def compiled(
    service: str,
    policy: ServicePolicy,
    cluster: Cluster,
    family: Family,
    keep: Keep,
    random: Callable[[], float],
    events: deque[Event],
    *,
    route: str = "",
    own_breaker: bool = False,
    listener: Listener | None = None,
) -> CallPlan:
    """The plan of one (service, route, subset, family). `own_breaker` gives a route that sets `breaker` one of its own."""
    retry = policy.retry
    budget = retry.budget if retry is not None else False
    breaker = policy.breaker
    limit = policy.limit
    return CallPlan(
        service,
        cluster,
        family,
        random,
        route=route,
        timeout=policy.timeout,
        attempt_timeout=None if policy.attempt_timeout == "auto" else float(policy.attempt_timeout),
        connect_timeout=policy.connect_timeout,
        stream_timeout=policy.stream_timeout,
        retry=None if retry is None else RetryPolicy(retry),
        max_attempts=1 if retry is None else retry.attempts,
        budget=None if budget is False else keep.budget(service, budget),
        breaker=None
        if breaker is None
        else keep.breaker("route", f"{service}/{route}", breaker)
        if own_breaker
        else keep.breaker("service", service, breaker),
        limiter=None if limit is None or limit.concurrency is None else keep.limiter(service, limit),
        listener=listener,
        events=events,
        raise_on_exhausted=policy.raise_on_exhausted,
    )


def balancer_of(options: BalancerOptions) -> Balancer:
    """The balancer that a policy names, with its own options checked."""
    kind = BALANCERS.get(options.name)
    return kind(kind.options(**dict(options.options)))
