"""Runtime: the shared heart behind a Mesh and its clients. Thread-safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import ref

import msgspec

from meshlib.core.hint import Hint, Hints
from meshlib.core.hook import AsyncHook, Hook
from meshlib.core.listener import Event, Listener
from meshlib.core.uri import URI, ServiceName, parse, service_name
from meshlib.engine.keep import Keep
from meshlib.errors import ConfigError
from meshlib.policy import PolicySnapshot, refuse_unsupported
from meshlib.providers import PROVIDERS, run
from meshlib.runtime.naming import source_of
from meshlib.runtime.pools import Pools
from meshlib.runtime.service import Service
from meshlib.runtime.upkeep import upkeep
from meshlib.runtime.warming import connect_ahead
from meshlib.world import clock, fork
from meshlib.world.background import background
from meshlib.world.io import World

if TYPE_CHECKING:
    from meshlib.engine.family import Family
    from meshlib.engine.node import Node
    from meshlib.engine.plan import CallPlan
    from meshlib.policy import Document
    from meshlib.policy.groups import ConnectionOptions
    from meshlib.runtime.security import Identities
    from meshlib.security.secured import ServiceSecurity
    from meshlib.world.background import Handle

__all__ = ["Runtime"]

_RESOLV_CONF = Path("/etc/resolv.conf")


class Runtime:
    """Services by key, created at their first call; policy snapshots swapped under them; pools shared by clients.

    `discovery` wins over the document's `[mesh] discovery`, also after a reload. `balanced=False` passes every host through by
    name, whatever policy says of its source: for calls whose wire is the user's own.

    `clock` and `seed` are for tests; chance is seeded from the system. After a fork the child starts over with new locks, new
    chance and no connections, and keeps the endpoint sets it had.
    """

    def __init__(
        self,
        policy: PolicySnapshot,
        *,
        listener: Listener | None = None,
        discovery: str | None = None,
        balanced: bool = True,
        clock: Callable[[], float] = clock.monotonic,
        seed: int | None = None,
    ) -> None:
        refuse_unsupported(policy.document, policy.source)
        self.policy: PolicySnapshot = policy
        self.listener = listener
        self.clock = clock
        self.closed: bool = False
        self.hooks: tuple[Hook, ...] = ()
        self.async_hooks: tuple[AsyncHook, ...] = ()
        self._discovery = discovery
        self._balanced = balanced
        self.policy_error: str = ""
        """What is wrong with the newest policy document; "" while the one in force is the newest."""
        self._introduced: dict[str, str] = {}
        self._identities: Identities | None = None
        self._start(seed)
        fork.watch(self)
        tables = (policy.document.defaults, *policy.document.services.values())
        if any("tls" in table.layer for table in tables):
            self.identities  # noqa: B018  (what it imports takes long, and must not fall on the first call's event loop)

    def _start(self, seed: int | None = None) -> None:
        self._lock = RLock()
        self.random: Callable[[], float] = Random(seed).random
        self.events: deque[Event] = deque(maxlen=1024)
        self.hints: Hints = Hints(wake=self._hinted)
        self.keep: Keep = Keep(self.random, self.events.append)
        self.pools: Pools = Pools()
        self.services: dict[str, Service] = {}
        self._by_host: dict[tuple[str, str, int | None], Service] = {}
        self._world: World | None = None
        self._watching: list[Handle] = []
        self._plain: Runtime | None = None
        self._search_list: tuple[str, ...] | None = None

    def after_in_child(self) -> None:
        """Start over without touching what the parent still uses (house rule 16)."""
        old = self.services
        fork.abandon(self._lock, old, self._by_host, self.keep, self.pools, self._world, self.hints)
        known = {key: (service.name, service.source, service.snapshot) for key, service in old.items()}
        self._start()
        for name, source, snapshot in known.values():
            service = self._made(name, source, started=False)
            if snapshot is not None:
                service.publish_now(snapshot)

    @property
    def world(self) -> World:
        """The real IO, on the background thread; made at first use."""
        if self._world is None:
            with self._lock:
                if self._world is None:
                    self._world = World(background(), random=self.random)
        return self._world

    @property
    def identities(self) -> Identities:
        """The key material in use; made at first use, so that a mesh without TLS never loads any of it."""
        if self._identities is None:
            from meshlib.runtime.security import Identities

            with self._lock:
                if self._identities is None:
                    self._identities = Identities(self)
        return self._identities

    # --- data path --------------------------------------------------------------------------------------------------------

    def plan(self, family: Family, request: Any, under_way: bool = False) -> CallPlan:
        """The plan that a request of this family runs on; the first one for a name makes its service.

        RuntimeError on a closed mesh, unless the request is a further hop of a call `under_way`; ConfigError for a name that
        may not be called.
        """
        if self.closed and not under_way:
            raise RuntimeError("this mesh is closed: it finishes the calls under way and takes no new ones")
        where = family.origin(request)
        service = self._by_host.get(where)
        if service is None:
            service = self._by_host[where] = self.service(service_name(*where))
        return service.plan(family, request)

    def service(self, name: ServiceName) -> Service:
        """The service of a name, made and watched from now on. ConfigError when it may not be called."""
        service = self.services.get(name.key)
        if service is None:
            with self._lock:
                service = self.services.get(name.key)
                if service is None:
                    if self.closed:
                        raise RuntimeError(
                            "this mesh is closed: it finishes the calls under way and takes no new ones"
                        )
                    service = self._made(name, self._source(name, self.policy.document))
        service.ensure()
        return service

    def _made(self, name: ServiceName, source: URI | None, *, started: bool = True) -> Service:
        service = Service(self, name, source, self.policy.document)
        self.services[name.key] = service
        if started:
            service.ensure()
            self.keep_up()
        return service

    def keep_up(self) -> None:
        """Start the control path's own work, once: upkeep where anything is watched, and following the policy's file."""
        with self._lock:
            if self._watching or self.closed:
                return
            if self._world is not None or self.policy.source.startswith("file:"):
                self._attend()

    def _attend(self) -> None:
        control, me = self.world.background, ref(self)
        self._watching.append(control.spawn(lambda: upkeep(me), name="meshlib-upkeep"))
        if self.policy.source.startswith("file:"):
            uri = parse(self.policy.source)
            provider, scope = PROVIDERS.get(uri.scheme), self.world.scope("policy")
            self._watching.append(
                control.spawn(
                    lambda: run(provider, uri, scope, self.adopt, self._refused), name="meshlib-policy"
                )
            )

    def _refused(self, problem: str) -> None:
        self.policy_error = problem
        if problem:
            self.tell("policy", "", {"error": problem, "source": self.policy.source})

    def tidy(self) -> None:
        """Forget what has not been used for long enough: departed nodes, state that no plan names."""
        now = self.clock()
        for service in list(self.services.values()):
            for cluster in service.clusters.values():
                cluster.forget(now)
            if service.unused(now):
                self._forget(service)
        with self._lock:
            self.keep.name(self._named(), now)

    def _source(self, name: ServiceName, document: Document) -> URI | None:
        if not self._balanced:
            return None
        given = self._introduced.get(name.key)
        if given is not None:
            return parse(given)
        table = document.services.get(name.key)
        written = None if table is None else table.layer.get("discovery")
        if written is None:
            written = document.defaults.layer.get("discovery")
        if written is not None:
            return parse(str(written))
        mesh = document.mesh
        if self._discovery is not None:
            mesh = msgspec.structs.replace(mesh, discovery=self._discovery)
        return source_of(name, mesh, self._search())

    def _search(self) -> tuple[str, ...]:
        """resolv.conf's search list, read at the first name that is not obvious."""
        if self._search_list is None:
            from meshlib.world.resolvconf import parse_resolv_conf

            try:
                self._search_list = parse_resolv_conf(_RESOLV_CONF.read_bytes()).search
            except OSError:
                self._search_list = ()
        return self._search_list

    def introduce(self, name: ServiceName, discovery: str) -> None:
        """Tell where a service's endpoints come from, before its first call. ConfigError when it is known already."""
        parse(discovery)
        with self._lock:
            given = self._introduced.get(name.key)
            table = self.policy.document.services.get(name.key)
            known = name.key in self.services or (table is not None and "discovery" in table.layer)
            if given != discovery and (given is not None or known):
                raise ConfigError(
                    f"{name.key} is known to this mesh already: its discovery cannot be given again by a client"
                )
            self._introduced[name.key] = discovery

    def unbalanced(self) -> Runtime:
        """A runtime with the same policy and listener that balances nothing; closed with this one."""
        with self._lock:
            if self._plain is None:
                self._plain = Runtime(self.policy, listener=self.listener, balanced=False, clock=self.clock)
                self._plain.hooks, self._plain.async_hooks = self.hooks, self.async_hooks
            return self._plain

    # --- what transports ask ----------------------------------------------------------------------------------------------

    def connections(self, service: str) -> ConnectionOptions:
        """The connection options of a service."""
        return self.services[service].policy.connections

    def security(self, service: str) -> ServiceSecurity | None:
        """The TLS that policy wants for a service's connections; None: the URL and the client decide."""
        return self.services[service].security

    def max_age(self, options: ConnectionOptions) -> Callable[[], float] | None:
        """How old a new connection may become, drawn anew for each so that they do not all reconnect together."""
        age, jitter, random = options.max_age, options.max_age_jitter, self.random
        if age is None:
            return None
        return lambda: age * (1.0 + jitter * (2.0 * random() - 1.0))

    def passed_through(self, service: str) -> tuple[str, str] | None:
        """(scheme, host) of a host that is passed through by name; None for a balanced service."""
        found = self.services[service]
        return None if found.source is not None else (found.name.scheme, found.name.host)

    # --- control path -----------------------------------------------------------------------------------------------------

    def adopt(self, policy: PolicySnapshot) -> None:
        """Swap the policy: every service compiles against it first, and if one cannot, nothing changes (ConfigError)."""
        if policy.version == self.policy.version and policy.source == self.policy.source:
            return
        document = policy.document
        refuse_unsupported(document, policy.source)
        with self._lock:
            prepared = [
                (service, service.prepare(document, self._source(service.name, document)))
                for service in self.services.values()
            ]
            self.policy = policy
            for service, new in prepared:
                service.adopt(new)
                service.move(new.source)
            if self._plain is not None:
                self._plain.adopt(policy)
            self.keep.name(self._named(), self.clock())
            if self._identities is not None:
                used = (service.security for service in self.services.values())
                self._identities.keep([one for one in used if one is not None])
        self.tell("policy", "", {"version": policy.version, "source": policy.source})

    def _named(self) -> list[tuple[str, ...]]:
        keys: list[tuple[str, ...]] = []
        for service in self.services.values():
            keys += service.named()
        return keys

    def tell(self, kind: str, service: str, facts: Mapping[str, Any]) -> None:
        """An event of the control path, delivered here and now; what happened under locks goes along."""
        self.events.append(Event(kind, service, self.clock(), facts))
        if self.listener is not None:
            while self.events:
                try:
                    event = self.events.popleft()
                except IndexError:
                    return
                self.listener.event(event)

    def _hinted(self) -> None:
        self.world.background.call_soon(self._take_hints)

    def _take_hints(self) -> None:
        for hint in self.hints.drain():
            service = self.services.get(hint.service)
            if service is None:
                continue
            if hint.kind == "refresh":
                service.refresh()
            elif hint.kind == "warm":
                connect_ahead(self, service, hint.subject)

    def drop(self, node: Node) -> None:
        """A node is gone for good: its connections close, each on the loop that owns them."""
        for wire, loop in self.pools.all():
            if loop is None:
                wire.drop(node)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(wire.drop, node)

    def warm(self, service: str, address: str = "") -> None:
        """Connect to a service's endpoints, or to one of them, before the first request that needs it; returns at once."""
        self.hints.put(Hint("warm", service, address))

    def refresh(self, service: str | None = None) -> None:
        """Ask discovery again now, for one service or all."""
        for key, found in list(self.services.items()):
            if service is None or key == service:
                found.refresh()

    def _forget(self, service: Service) -> None:
        """A passed-through host that nobody calls any more: a crawler must not fill the memory with them."""
        with self._lock:
            self.services.pop(service.key, None)
            for where in [where for where, found in self._by_host.items() if found is service]:
                self._by_host.pop(where, None)
        for cluster in service.clusters.values():
            for node in cluster.nodes.values():
                self.drop(node)

    # --- end --------------------------------------------------------------------------------------------------------------

    def returned(self, own: bool) -> None:
        """A client is closed; a private runtime closes with it."""
        if own:
            self.close()

    def close(self) -> None:
        """Stop watching and close what is pooled. Calls under way finish; new ones raise. Idempotent, thread-safe."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            services = list(self.services.values())
            plain = self._plain
        if plain is not None:
            plain.close()
        for service in services:
            service.stop()
        for handle in self._watching:
            handle.cancel()
        if self._identities is not None:
            self._identities.stop()
        for wire, loop in self.pools.taken():
            if loop is None:
                wire.close()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(wire.drop_all)
