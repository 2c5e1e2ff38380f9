"""Service: one logical name at run time. Holds its clusters, keeps them fed by discovery, and compiles its plans."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from meshlib.core.endpoint import Endpoint
from meshlib.core.listener import Discreet, Listener
from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import URI, ServiceName
from meshlib.discovery import Target, find, run
from meshlib.engine.cluster import Cluster
from meshlib.engine.compile import balancer_of, compiled
from meshlib.engine.keep import KEPT_FOR
from meshlib.engine.plan import CallPlan
from meshlib.policy.merge import Origins, merge
from meshlib.policy.spec import Document, ServicePolicy
from meshlib.resilience.outlier import OutlierDetector
from meshlib.routing.split import Split
from meshlib.routing.table import Route, RouteTable
from meshlib.world.slices import sliced

if TYPE_CHECKING:
    from meshlib.engine.family import Family
    from meshlib.runtime.runtime import Runtime
    from meshlib.security.secured import ServiceSecurity
    from meshlib.world.background import Handle
    from meshlib.world.io import Scope

__all__ = ["Service"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


Routed = tuple[ServicePolicy, bool]
"""What a route carries: its merged policy, and whether its breaker is its own."""


class Prepared:
    """A policy document as one service sees it: merged, checked, routes indexed. Building it raises ConfigError."""

    __slots__ = ("origins", "policy", "routes", "security", "source")

    def __init__(self, document: Document, name: ServiceName, source: URI | None) -> None:
        key = name.key
        self.source: URI | None = source
        self.security: ServiceSecurity | None = None
        if source is not None:
            find(_target(name, source))
        policy, origins = merge(document, key)
        self.policy: ServicePolicy = policy
        self.origins: Origins = origins
        balancer_of(self.policy.balancer)
        routes: list[Route[Routed]] = []
        for route in self.policy.routes:
            merged = merge(document, key, route)[0]
            split = Split(route.split) if route.split else None
            routes.append(Route(route.name, route.match, split, (merged, "breaker" in route.layer)))
        self.routes: RouteTable[Routed] = RouteTable(routes)


class Service:
    """Created by the Runtime at the first call to its name. `source` None is a host passed through by name.

    `problem` is what discovery says is wrong now ("" when nothing is). Plans are compiled once per (family, route, subset) and
    thrown away together when policy changes; readers see either all old or all new ones.
    """

    def __init__(self, runtime: Runtime, name: ServiceName, source: URI | None, document: Document) -> None:
        self.runtime = runtime
        self.name = name
        self.key: str = name.key
        self.source = source
        self.problem: str = ""
        self.security: ServiceSecurity | None = None
        self.snapshot: EndpointSet | None = None
        self.clusters: dict[str, Cluster] = {}
        self._lock = Lock()
        self._handle: Handle | None = None
        self._scope: Scope | None = None
        self._arrived: EndpointSet | None = None
        self._applying = False
        self._started = False
        self._calls, self._since = 0, runtime.clock()
        self.adopt(self.prepare(document, source))

    # --- policy -----------------------------------------------------------------------------------------------------------

    def prepare(self, document: Document, source: URI | None) -> Prepared:
        """Everything of a new policy that can fail (ConfigError), with nothing changed yet."""
        new = Prepared(document, self.name, source)
        if new.policy.tls is not None:
            from meshlib.runtime.security import in_force

            tls = in_force(document, self.key, source, new.policy.tls)
            if tls is not None:
                new.security = self.runtime.identities.service(self.key, tls, self.security)
        return new

    def adopt(self, new: Prepared) -> None:
        """Follow a new policy. Kept state is found again; plans are compiled anew at the next call."""
        with self._lock:
            old = getattr(self, "policy", None)
            self.policy: ServicePolicy = new.policy
            self.security = new.security
            self.origins: Origins = new.origins
            self.routes: RouteTable[Routed] = new.routes
            self._plans: dict[Any, CallPlan] = {}
            for subset in ("", *new.policy.subsets):
                if subset not in self.clusters:
                    self.clusters[subset] = self._cluster(subset)
            if old is not None:
                for cluster in self.clusters.values():
                    cluster.configure(
                        balancer_of(new.policy.balancer) if old.balancer != new.policy.balancer else None,
                        self._detector(),
                        new.policy.ejection,
                        self.runtime.clock(),
                    )
        if self._started:
            self._follow()
        if old is not None and old.subsets != new.policy.subsets and self.snapshot is not None:
            if self._handle is None:
                self.publish_now(self.snapshot)
            else:
                self._take(self.snapshot)

    def move(self, source: URI | None) -> None:
        """Watch another source from now on; until it answers, the set of the former one stays."""
        if source == self.source:
            return
        self.stop()
        with self._lock:
            self.source = source
            self._started = False
        self.ensure()

    def unused(self, now: float) -> bool:
        """Whether this is a passed-through host that has not been called for as long as state is kept."""
        calls = sum(node.calls for cluster in self.clusters.values() for node in cluster.nodes.values())
        if calls != self._calls:
            self._calls, self._since = calls, now
        idle = not any(
            node.in_flight for cluster in self.clusters.values() for node in cluster.nodes.values()
        )
        return self.source is None and idle and now - self._since >= KEPT_FOR

    def _cluster(self, subset: str) -> Cluster:
        runtime = self.runtime

        def make() -> Cluster:
            return Cluster(
                self.key,
                balancer_of(self.policy.balancer),
                runtime.random,
                subset=subset,
                detector=self._detector(),
                hints=runtime.hints,
                dropped=runtime.drop,
            )

        return runtime.keep.cluster(self.key, subset, make)

    def _detector(self) -> OutlierDetector | None:
        ejection, runtime = self.policy.ejection, self.runtime
        if ejection is None:
            return None
        return OutlierDetector(ejection, runtime.random, runtime.events.append, self.key)

    def named(self) -> list[tuple[str, ...]]:
        """The keys of kept state that this service's plans name."""
        keys: list[tuple[str, ...]] = [("cluster", self.key, subset) for subset in self.clusters]
        keys += [("budget", self.key), ("limit", self.key), ("breaker", "service", self.key)]
        keys += [("breaker", "route", f"{self.key}/{route.name}") for route in self.routes.routes]
        return keys

    # --- data path --------------------------------------------------------------------------------------------------------

    def plan(self, family: Family, request: Any) -> CallPlan:
        """The plan for a request of this family."""
        if self.routes:
            return self._routed(family, request)
        found = self._plans.get(family)
        return self._compiled(family, None, "") if found is None else found

    def _routed(self, family: Family, request: Any) -> CallPlan:
        method, path, headers = family.facts(request)
        route = self.routes.find(method, path, headers)
        if route is None:
            found = self._plans.get(family)
            return self._compiled(family, None, "") if found is None else found
        subset = route.split.choose(self.runtime.random()) if route.split is not None else ""
        found = self._plans.get((family, route.name, subset))
        return self._compiled(family, route, subset) if found is None else found

    def _compiled(self, family: Family, route: Route[Routed] | None, subset: str) -> CallPlan:
        runtime = self.runtime
        with self._lock:
            plans, policy, own = self._plans, self.policy, False
            if route is not None:
                policy, own = route.target
            plan = compiled(
                self.key,
                policy,
                self.clusters[subset],
                family,
                runtime.keep,
                runtime.random,
                runtime.events,
                route="" if route is None else route.name,
                own_breaker=own,
                listener=self._listener(),
            )
            plans[family if route is None else (family, route.name, subset)] = plan
            return plan

    def _listener(self) -> Listener | None:
        """The mesh's; for a host that nobody named it sends no headers along."""
        listener = self.runtime.listener
        if listener is None or self.source is not None or self.key in self.runtime.policy.document.services:
            return listener
        return Discreet(listener)

    # --- control path -----------------------------------------------------------------------------------------------------

    def ensure(self) -> None:
        """Begin to watch the source, once. A host passed through and a static set need no watching and no thread."""
        with self._lock:
            if self._started:
                return
            self._started = True
        self._follow()
        constant = self._constant()
        if constant is not None:
            self.publish_now(constant)
            return
        assert self.source is not None
        target = _target(self.name, self.source)
        resolver = find(target)
        world = self.runtime.world
        self._scope = scope = world.scope(self.key)
        self._handle = world.background.spawn(
            lambda: run(resolver, target, scope, self.publish, self.report), name=f"meshlib-{self.key}"
        )

    def _follow(self) -> None:
        """Follow the files of the service's TLS."""
        if self.security is not None:
            self.runtime.identities.follow(self.security.rotation.where)

    def _constant(self) -> EndpointSet | None:
        """The set of a source that can never change, known without asking anybody."""
        now = self.runtime.clock()
        if self.source is None:
            port = self.name.port or _DEFAULT_PORTS.get(self.name.scheme, 0)
            alone = Endpoint(host=self.name.host, port=port)
            return EndpointSet((alone,), source="passthrough", received=now)
        if self.source.scheme != "static":
            return None
        target = _target(self.name, self.source)
        endpoints = [Endpoint(host=host, port=target.port_of(port)) for host, port in target.authorities()]
        return EndpointSet(endpoints, source=self.source.text, received=now)

    def publish_now(self, snapshot: EndpointSet) -> None:
        """Apply a small set at once, on the calling thread."""
        now = self.runtime.clock()
        for subset, cluster in list(self.clusters.items()):
            for _ in cluster.apply(self._part(snapshot, subset), now):
                pass
        self.snapshot = snapshot

    def publish(self, snapshot: EndpointSet) -> None:
        """Take a set from the resolver, on the background loop; applied in slices, the newest one wins."""
        known = self.snapshot
        if known is not None and known.endpoints is snapshot.endpoints and not self._applying:
            self.snapshot = snapshot  # confirmed, not changed
            return
        self._take(snapshot)

    def _take(self, snapshot: EndpointSet) -> None:
        self._arrived = snapshot
        if not self._applying:
            self._applying = True
            self.runtime.world.background.spawn(self._apply, name=f"meshlib-apply-{self.key}")

    async def _apply(self) -> None:
        try:
            while self._arrived is not None:
                snapshot, self._arrived = self._arrived, None
                now = self.runtime.clock()
                before = 0 if self.snapshot is None else len(self.snapshot)
                for subset, cluster in list(self.clusters.items()):
                    await sliced(cluster.apply(self._part(snapshot, subset), now), self.runtime.world)
                self.snapshot = snapshot
                self.runtime.tell(
                    "endpoints", self.key, {"before": before, "now": len(snapshot), "source": snapshot.source}
                )
        finally:
            self._applying = False

    def _part(self, snapshot: EndpointSet, subset: str) -> EndpointSet:
        if not subset:
            return snapshot
        chosen = self.policy.subsets[subset].select(snapshot.endpoints)
        return EndpointSet(
            chosen, source=snapshot.source, version=snapshot.version, received=snapshot.received
        )

    def report(self, problem: str) -> None:
        """What the resolver's runner says is wrong; "" when it goes well again."""
        self.problem = problem
        for cluster in self.clusters.values():
            cluster.problem = problem or "no answer from discovery yet"
        self.runtime.tell("discovery", self.key, {"problem": problem})

    def refresh(self) -> None:
        """Ask the source again now (at most once a second)."""
        if self._scope is not None:
            self._scope.kick()

    def stop(self) -> None:
        """Stop watching; what is known stays."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def _target(name: ServiceName, source: URI) -> Target:
    return Target(uri=source, service=name.key, port=name.port or 0)
