"""Watch: one resolver under its runner, with what it heard on the way (TTL, who answered, when it looks again)."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Any

from meshlib.core.io import Answer, Family, Server
from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import parse, service_key
from meshlib.discovery import RESOLVERS, Target, find, run
from meshlib.world.background import background
from meshlib.world.io import Scope, World

__all__ = ["Watch", "target_of"]

_NO_SOURCE = ("http", "https")
# After the first set: a resolver that polls goes to sleep at once and so says when it will look again; one that streams
# never does.
_GRACE = 0.05


def target_of(text: str, config: str | None) -> Target | None:
    """What to watch for a discovery URI, or for a service's name under a configuration; None: it is passed through.

    ConfigError for what is neither.
    """
    scheme, written, _ = text.partition("://")
    if written and scheme.lower() not in _NO_SOURCE:
        uri = parse(text)
        RESOLVERS.get(uri.scheme)
        return Target(uri=uri)
    from meshlib.mesh import Mesh

    name = service_key(text)
    with Mesh(config, telemetry=False) as mesh:
        runtime = mesh.runtime
        source = runtime._source(name, runtime.policy.document)
    return None if source is None else Target(uri=source, service=name.key, port=name.port or 0)


class Watch:
    """A context manager; its attributes may be read from any thread."""

    def __init__(self, target: Target) -> None:
        self.latest: EndpointSet | None = None
        self.problem: str = ""
        self.ttl: float | None = None
        self.answered_by: str = ""
        self._target = target
        self._resolver = find(target)
        self._world = World(background())
        self._io = _Listening(self._world.scope(target.service), self)
        self._next: float | None = None
        self._round = True  # the next answer begins a new look
        self._came = Event()
        self._asleep = Event()
        self._handle: Any = None

    def __enter__(self) -> Watch:
        self._handle = self._world.background.spawn(
            lambda: run(self._resolver, self._target, self._io, self._publish, self._report),
            name="meshlib-resolve",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()
        self._handle.wait(1.0)

    def first(self, timeout: float) -> EndpointSet | None:
        """The first set; None when a problem was met before, or nothing came in time."""
        if self._came.wait(timeout) and self.latest is not None:
            self._asleep.wait(_GRACE)
        return self.latest

    def age(self, found: EndpointSet) -> float:
        """How long ago this set was confirmed, in seconds."""
        return max(0.0, self._world.now() - found.received)

    @property
    def next_look(self) -> float | None:
        """Seconds until the source is asked again; None when that is not known."""
        return None if self._next is None else max(0.0, self._next - self._world.now())

    def slept(self, seconds: float) -> None:
        """The resolver sleeps until then."""
        self._next = self._world.now() + seconds
        self._round = True
        if self.latest is not None:
            self._asleep.set()

    def heard(self, answer: Answer) -> Answer:
        """A name server's answer."""
        known = None if self._round else self.ttl
        self._round = False
        self.ttl = answer.ttl if known is None else min(known, answer.ttl)
        self.answered_by = answer.source
        return answer

    def _publish(self, found: EndpointSet) -> None:
        self.latest = found
        self._came.set()

    def _report(self, problem: str) -> None:
        self.problem = problem
        if problem:
            self._came.set()


class _Listening:
    """The world, overheard by a Watch."""

    def __init__(self, scope: Scope, watch: Watch) -> None:
        self._scope = scope
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)

    async def sleep(self, seconds: float) -> None:
        if seconds >= 0.05:  # shorter ones are pauses of sliced work
            self._watch.slept(seconds)
        await self._scope.sleep(seconds)

    async def addresses(
        self, name: str, *, family: Family = "auto", servers: Sequence[Server] = ()
    ) -> Answer:
        return self._watch.heard(await self._scope.addresses(name, family=family, servers=servers))

    async def services(self, name: str, *, servers: Sequence[Server] = ()) -> Answer:
        return self._watch.heard(await self._scope.services(name, servers=servers))
