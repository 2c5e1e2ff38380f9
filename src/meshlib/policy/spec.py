"""The policy document, typed: what a service's policy is, and what a document holds.

A *layer* is one table of a document (or one `Policy(...)`, or one call) as it was written: only the keys it
sets, checked but not converted. Layers are merged key by key (`policy.merge`) and only the result becomes a
ServicePolicy, so that a default never hides what an outer layer said.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from meshlib.core.options import Options, Problem
from meshlib.policy.groups import (
    BalancerOptions,
    ConnectionOptions,
    HedgeOptions,
    MeshOptions,
    Timeout,
    TlsOptions,
    uri_problem,
)
from meshlib.resilience.breaker import BreakerOptions
from meshlib.resilience.limit import LimitOptions
from meshlib.resilience.outlier import EjectionOptions
from meshlib.resilience.retry import RetryOptions
from meshlib.routing.match import Match
from meshlib.routing.split import Share, Subset

__all__ = [
    "CALL_KEYS",
    "GROUPS",
    "NOTHING",
    "ROUTE_KEYS",
    "BalancerOptions",
    "ConnectionOptions",
    "Document",
    "HedgeOptions",
    "Layer",
    "MeshOptions",
    "RoutePolicy",
    "ServicePolicy",
    "ServiceTable",
    "TlsOptions",
]

Layer = Mapping[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class RoutePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One route of a service: what it matches, how it splits, and the policy keys it sets."""

    name: str
    match: Match = Match()
    split: tuple[Share, ...] = ()
    layer: Layer = NOTHING


class ServicePolicy(Options, frozen=True, kw_only=True):
    """Everything that is known about how to treat calls to a service or one of its routes. A group that is
    None is off."""

    group: ClassVar[str] = "policy"

    timeout: Annotated[
        Timeout | None,
        Meta(
            description="The whole call, retries and waiting included; false is no deadline. Longer than people wait."
        ),
    ] = 10.0
    connect_timeout: Annotated[
        Timeout,
        Meta(
            description="One connect with its TLS handshake: some round trips and one lost packet (Envoy: 5 s)."
        ),
    ] = 1.0
    attempt_timeout: Annotated[
        Literal["auto"] | Timeout,
        Meta(
            description="One attempt; auto is half of what is left while another attempt is possible, then all of it."
        ),
    ] = "auto"
    stream_timeout: Annotated[
        Timeout | None,
        Meta(description="A streamed body as a whole; off, because streams may be endless on purpose."),
    ] = None
    raise_on_exhausted: Annotated[
        bool,
        Meta(
            description="Raise also when the last attempt brought a response; off, as HTTP clients return it."
        ),
    ] = False
    discovery: Annotated[
        str | None, Meta(description="Where this service's endpoints come from (a discovery URI).")
    ] = None
    wire: Annotated[
        str,
        Meta(
            min_length=1,
            description="What writes the bytes; auto is the leanest that speaks what is asked for.",
        ),
    ] = "auto"
    balancer: Annotated[BalancerOptions, Meta(description="How an endpoint is chosen.")] = BalancerOptions()
    retry: Annotated[RetryOptions | None, Meta(description="Repeats of failed attempts.")] = RetryOptions()
    breaker: Annotated[BreakerOptions | None, Meta(description="The circuit breaker.")] = BreakerOptions()
    limit: Annotated[LimitOptions | None, Meta(description="The concurrency limit.")] = LimitOptions()
    ejection: Annotated[EjectionOptions | None, Meta(description="Taking bad endpoints out.")] = (
        EjectionOptions()
    )
    hedge: Annotated[
        HedgeOptions | None, Meta(description="Second attempts for late ones; off, because they cost load.")
    ] = None
    connections: Annotated[ConnectionOptions, Meta(description="Connection pools.")] = ConnectionOptions()
    tls: Annotated[
        TlsOptions | None,
        Meta(description="Encryption, identity and trust; off leaves it to URL and client."),
    ] = None
    subsets: Annotated[Mapping[str, Subset], Meta(description="Named parts of the service, by labels.")] = {}
    routes: Annotated[
        tuple[RoutePolicy, ...], Meta(description="Rules for some requests; the first match wins.")
    ] = ()

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        """A discovery URI that does not parse."""
        return uri_problem("discovery", values)


GROUPS: Mapping[str, type[Options]] = MappingProxyType(
    {
        "retry": RetryOptions,
        "breaker": BreakerOptions,
        "limit": LimitOptions,
        "ejection": EjectionOptions,
        "hedge": HedgeOptions,
        "connections": ConnectionOptions,
        "tls": TlsOptions,
    }
)
"""The groups that are tables of their own options; `balancer` is the one whose keys depend on its name."""

ROUTE_KEYS = frozenset(
    {
        "timeout",
        "connect_timeout",
        "attempt_timeout",
        "stream_timeout",
        "raise_on_exhausted",
        "retry",
        "breaker",
        "hedge",
    }
)
"""What a route may set. The rest belongs to what its routes share: endpoints, pools, limit, identity."""

CALL_KEYS = ROUTE_KEYS - {"breaker"}
"""What a single call may set. A breaker is state that other calls share."""


class ServiceTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[defaults]` or `[services.<key>]`: the policy keys it sets, its subsets, its routes."""

    layer: Layer = NOTHING
    subsets: Mapping[str, Subset] = NOTHING
    routes: tuple[RoutePolicy, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole document, checked: whatever it merges to is valid."""

    version: int = 1
    mesh: MeshOptions = MeshOptions()
    defaults: ServiceTable = ServiceTable()
    services: Mapping[str, ServiceTable] = NOTHING
