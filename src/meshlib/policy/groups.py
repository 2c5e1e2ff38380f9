"""The option groups that belong to no algorithm: who this process is, connections, hedging, the balancer's name; TLS has
a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from meshlib.core.options import Options, Problem, Seconds
from meshlib.core.uri import parse
from meshlib.errors import ConfigError
from meshlib.policy.tls import TlsOptions

__all__ = [
    "BalancerOptions",
    "ConnectionOptions",
    "HedgeOptions",
    "MeshOptions",
    "Timeout",
    "TlsOptions",
    "Unknown",
    "uri_problem",
]

Unknown = Literal["auto", "dns", "passthrough", "refuse"]

# A day: what takes longer is not a call. 0 would refuse every one; whoever wants no bound writes false.
Timeout = Annotated[float, Meta(gt=0.0, le=86_400.0, extra={"unit": "s"})]


def uri_problem(key: str, values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the URI under `key`, if there is one. The text repeats no secret."""
    text = values.get(key)
    if text is not None:
        try:
            parse(text)
        except ConfigError as error:
            return [((key,), error.message)]
    return []


class MeshOptions(Options, frozen=True, kw_only=True):
    """`[mesh]`: who this process is and where it learns about the others."""

    group: ClassVar[str] = "mesh"

    service: Annotated[str, Meta(description="This process's own service name.")] = ""
    zone: Annotated[str, Meta(description="Where it runs; near endpoints are compared with it.")] = ""
    labels: Annotated[Mapping[str, str], Meta(description="Its labels, for routes and subsetting.")] = {}
    domains: Annotated[
        tuple[str, ...],
        Meta(
            description="Domains whose names are services, beside resolv.conf's search list and cluster domains."
        ),
    ] = ()
    unknown: Annotated[
        Unknown,
        Meta(
            description="A name that nobody configured: auto balances single labels and mesh domains through DNS and "
            "calls any other host by name, so that public hosts keep proxy, SNI and CDN."
        ),
    ] = "auto"
    discovery: Annotated[
        str | None,
        Meta(description="Where endpoints come from for services that name no source (a discovery URI)."),
    ] = None
    policy_server: Annotated[str | None, Meta(description="Where policy comes from (a URI).")] = None
    first_policy_wait: Annotated[
        Seconds,
        Meta(
            description="How long the first call waits for a policy server before it runs on defaults: an outage of "
            "the control plane may cost a second, not the service.",
        ),
    ] = 1.0

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        """URIs that do not parse."""
        return uri_problem("discovery", values) + uri_problem("policy_server", values)


class BalancerOptions(Options, frozen=True, kw_only=True):
    """`balancer`: which one, and what it is told. `options` are checked against the balancer's own."""

    group: ClassVar[str] = "balancer"

    name: Annotated[
        str,
        Meta(
            min_length=1,
            description="p2c weighs what latency and load each endpoint showed (Mitzenmacher 1996; Finagle): a slow "
            "endpoint gets less, where round robin gives it its full share.",
        ),
    ] = "p2c"
    options: Annotated[
        Mapping[str, Any], Meta(description="The balancer's own keys, written beside its name.")
    ] = {}


class ConnectionOptions(Options, frozen=True, kw_only=True):
    """`connections`: the pool of one endpoint."""

    group: ClassVar[str] = "connections"

    max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections per endpoint (Envoy: 1,024): a guard against running out of descriptors, not a "
            "limit on load.",
        ),
    ] = 1024
    idle: Annotated[
        Timeout,
        Meta(
            description="An idle connection is closed before the server or a NAT closes it in the middle of a request: "
            "the shortest usual server timeout is 60 s.",
        ),
    ] = 55.0
    max_age: Annotated[
        Timeout | None,
        Meta(
            description="A connection is not used longer, so that new endpoints get their share; false is no end."
        ),
    ] = 600.0
    max_age_jitter: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="Plus or minus this share of max_age, so that not all reconnect together.",
        ),
    ] = 0.2


class HedgeOptions(Options, frozen=True, kw_only=True):
    """`hedge`: a second attempt while the first is late (Dean and Barroso, "The Tail at Scale", 2013)."""

    group: ClassVar[str] = "hedge"

    delay: Annotated[
        Literal["auto"] | Seconds,
        Meta(description="How late the first attempt must be; auto is what the slowest few took lately."),
    ] = "auto"
    extra_load: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="Share of calls that may be hedged: the slowest 5 % are most of the tail.",
        ),
    ] = 0.05
