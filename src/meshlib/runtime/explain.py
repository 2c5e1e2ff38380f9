"""explain(): what would happen to a request, and why, without sending it.

A service that was never called is explained from policy and naming alone: nothing is created, watched or resolved. Its
endpoints are then known only when they are written down (`static://`, a host passed through by name).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshlib.core.uri import ServiceName, service_key
from meshlib.discovery import Target
from meshlib.errors import ConfigError
from meshlib.policy.merge import merge
from meshlib.runtime.explanation import Explanation
from meshlib.runtime.naming import MESH_DOMAINS, is_mesh_name
from meshlib.runtime.origins import values_with_origins
from meshlib.runtime.state import service_state

if TYPE_CHECKING:
    from meshlib.core.uri import URI
    from meshlib.policy.spec import RoutePolicy, ServicePolicy
    from meshlib.routing.match import Match
    from meshlib.runtime.runtime import Runtime

__all__ = ["explain"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110 9.2.2
_PORTS = {"http": 80, "https": 443}


def explain(runtime: Runtime, target: str, method: str, path: str, headers: Mapping[str, str]) -> Explanation:
    """Sends nothing, creates nothing. Thread-safe. ConfigError when `target` names no service."""
    name = service_key(target)
    method, path = method.upper(), _path(name, path)
    lower = {key.lower(): value for key, value in headers.items()}
    document, key = runtime.policy.document, name.key
    facts: dict[str, Any] = {
        "request": {"method": method, "path": path, "target": f"{name.scheme}://{key}{path}"}
    }
    known = runtime.services.get(key)
    try:
        source = runtime._source(name, document) if known is None else known.source
    except ConfigError as error:
        facts["service"] = {"key": key, "treatment": "refused", "why": error.message, "called": False}
        return Explanation(facts)
    treatment = "passed through" if source is None else "balanced"
    facts["service"] = {
        "key": key,
        "treatment": treatment,
        "why": _why(runtime, name, source),
        "called": known is not None,
    }
    policy, origins = merge(document, key)
    facts["routes"], route = _routes(policy, method, path, lower)
    if route is not None:
        whole, (policy, origins) = policy, merge(document, key, route)
    else:
        whole = policy
    facts["route"] = None if route is None else route.name
    now = runtime.clock()
    state = _unwatched(name, source, whole) if known is None else service_state(known, now)
    facts["discovery"] = state["discovery"]
    facts["clusters"] = _clusters(state["clusters"], route)
    facts["breaker"] = _breaker(runtime, key, route, policy, state, now)
    facts["budget"], facts["limit"] = state["budget"], state["limit"]
    facts["retries"] = _retries(policy, method, lower)
    facts["policy"] = values_with_origins(policy, origins)
    return Explanation(facts)


def _path(name: ServiceName, path: str) -> str:
    """The request's path below the target's, as a client with that base URL would send it, without its query."""
    path = path.partition("?")[0].partition("#")[0]
    base = name.path.rstrip("/")
    if path in ("", "/"):
        return name.path or "/"
    return f"{base}/{path.lstrip('/')}"


def _why(runtime: Runtime, name: ServiceName, source: URI | None) -> str:
    document, host = runtime.policy.document, name.host
    table = document.services.get(name.key)
    if source is None:
        return _why_passed(document.mesh.unknown, host)
    if table is not None and "discovery" in table.layer:
        return f"[services.{name.key}] names its source"
    if "discovery" in document.defaults.layer:
        return "[defaults] names a source for all services"
    if document.mesh.discovery is not None and source.text.startswith(
        document.mesh.discovery.partition("?")[0]
    ):
        return "[mesh] discovery is the source of services that name none"
    if source.scheme != "dns" or source.host != host:
        return "code gave its source (discovery=...)"
    if "." not in host:
        return "a name of a single label is a service, found in DNS"
    domains = (*document.mesh.domains, *MESH_DOMAINS)
    domain = next((one for one in domains if host.endswith("." + one.strip(".").lower())), None)
    if domain is not None:
        return f"it is in the mesh domain {domain}, found in DNS"
    if is_mesh_name(host, document.mesh, runtime._search()):
        return "it is in a domain of resolv.conf's search list, found in DNS"
    return '[mesh] unknown = "dns" looks up every name'


def _why_passed(unknown: str, host: str) -> str:
    if unknown == "passthrough":
        return '[mesh] unknown = "passthrough" calls hosts that nobody configured by name'
    if host.replace(".", "").isdigit() or ":" in host:
        return "it is an address, not a service"
    return (
        "it is neither configured nor in a mesh domain, so it is called by name, with its proxy, SNI and CDN"
    )


def _routes(
    policy: ServicePolicy, method: str, path: str, headers: Mapping[str, str]
) -> tuple[list[dict[str, Any]], RoutePolicy | None]:
    """Every route with its answer, and the one that applies: the first that matches."""
    told: list[dict[str, Any]] = []
    chosen: RoutePolicy | None = None
    for route in policy.routes:
        if chosen is not None:
            told.append({"name": route.name, "matches": None, "why": f"not asked, {chosen.name} comes first"})
            continue
        why = _mismatch(route.match, method, path, headers)
        told.append({"name": route.name, "matches": not why, "why": why or "the first that matches"})
        if not why:
            chosen = route
    return told, chosen


def _mismatch(match: Match, method: str, path: str, headers: Mapping[str, str]) -> str:
    """The first condition that does not hold; "" when all do."""
    if match.path is not None and path != match.path:
        return f"its path is {match.path}"
    if (
        match.path_prefix is not None
        and not match.holds(method, path, headers)
        and match.admits(method, headers)
    ):
        return f"its path begins with {match.path_prefix}"
    if match.methods and method not in match.methods:
        return f"its methods are {', '.join(match.methods)}"
    for name, wanted in match.headers.items():
        if headers.get(name.lower()) != wanted:
            # The value of a request's own header may be a secret; what the policy wants is none.
            return f"it wants the header {name}: {wanted}"
    return ""


def _clusters(clusters: Mapping[str, Any], route: RoutePolicy | None) -> list[dict[str, Any]]:
    """The clusters that the request may go to, with their shares of it."""
    if route is None or not route.split:
        return [{"subset": "", "share": 1.0, **clusters[""]}]
    total = sum(share.weight for share in route.split)
    return [
        {"subset": share.subset, "share": share.weight / total if total else 0.0, **clusters[share.subset]}
        for share in route.split
    ]


def _breaker(
    runtime: Runtime,
    key: str,
    route: RoutePolicy | None,
    policy: ServicePolicy,
    state: Mapping[str, Any],
    now: float,
) -> dict[str, Any] | None:
    """The service's breaker; of a route that writes `breaker`, its own."""
    if route is None or "breaker" not in route.layer:
        found: dict[str, Any] | None = state["breaker"]
        return found
    if policy.breaker is None:
        return None
    own = runtime.keep.known("breaker", "route", f"{key}/{route.name}")
    if own is None:
        return {"state": "closed", "since": None, "until": None}
    said = own.describe(now)
    return {name: said[name] for name in ("state", "since", "until")}


def _retries(policy: ServicePolicy, method: str, headers: Mapping[str, str]) -> dict[str, Any]:
    if policy.retry is None or policy.retry.attempts == 1:
        return {"attempts": 1, "when": "never: retries are off"}
    if method in _IDEMPOTENT:
        when = f"after {', '.join(policy.retry.on)}: {method} is idempotent"
    elif "idempotency-key" in headers:
        when = f"after {', '.join(policy.retry.on)}: it carries an Idempotency-Key"
    else:
        when = f"only when provably nothing was processed: {method} is not idempotent and carries no Idempotency-Key"
    return {"attempts": policy.retry.attempts, "when": when}


def _unwatched(name: ServiceName, source: URI | None, policy: ServicePolicy) -> dict[str, Any]:
    """What `state()` would say of a service at its first call, as far as it is known without asking anybody."""
    addresses: list[str] = []
    if source is None:
        addresses = [f"{name.host}:{name.port or _PORTS.get(name.scheme, 0)}"]
    elif source.scheme == "static":
        target = Target(uri=source, service=name.key, port=name.port or 0)
        addresses = [
            f"{host}:{target.port_of(port)}".removesuffix(":0") for host, port in target.authorities()
        ]
    nodes = [{**_FRESH, "address": address} for address in addresses]
    balancer = policy.balancer.name
    retry, limit = policy.retry, policy.limit
    return {
        "discovery": {
            "source": "passthrough" if source is None else source.text,
            "age": None,
            "version": "",
            "error": "",
        },
        "breaker": None if policy.breaker is None else {"state": "closed", "since": None, "until": None},
        "budget": None
        if retry is None or not retry.budget
        else {"balance": retry.budget.floor * retry.budget.window},
        "limit": {"used": 0, "limit": None if limit is None else limit.concurrency, "queued": 0},
        "clusters": {
            # Addresses that are written down carry no labels.
            subset: {"balancer": balancer, "nodes": nodes if rule is None or rule.selects({}) else []}
            for subset, rule in (("", None), *policy.subsets.items())
        },
    }


_FRESH: Mapping[str, Any] = {
    "zone": "",
    "weight": 100.0,
    "labels": {},
    "in_flight": 0,
    "cost": None,
    "state": "not called yet",
    "until": None,
    "calls": 0,
    "failures": 0,
}
