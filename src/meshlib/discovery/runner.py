"""The runner: keeps one resolver going, and between its errors and the last good set.

Nothing that goes wrong below reaches a call: a failed watch is started again after a jittered pause (1 s doubling to
60 s, over again after each set that came), what it published before stays, and `problem` says what is the matter.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from meshlib.core.endpoint import Endpoint
from meshlib.core.io import IO
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery.contract import Publish, Resolver, Target
from meshlib.errors import ConfigError, DiscoveryError

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "pause", "run"]

FIRST_PAUSE = 1.0
"""Seconds before the first new start."""

LONGEST_PAUSE = 60.0
"""Seconds between starts at most: a registry that comes back is noticed within a minute."""

Problem = Callable[[str], None]


def pause(failures: int, random: float) -> float:
    """Seconds to wait after so many failures in a row (from 1 on): half of the doubled pause is certain, the other
    half is drawn ("equal jitter", Brooker 2015), so that a fleet does not come back in step."""
    whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
    return whole / 2 + whole / 2 * random


async def run(resolver: Resolver, target: Target, io: IO, publish: Publish, problem: Problem) -> None:
    """Watch `target` until cancelled, or until a resolver says by returning that its set can never change.

    `publish` receives every confirmed set, stamped with `received` and `source`; one that equals the last has the very
    same `endpoints` tuple, so `new.endpoints is old.endpoints` tells a confirmation from a change. `problem` receives a
    sentence when watching goes wrong (again only when the sentence changes) and "" when it goes well again.
    """
    gate = _Gate(target, io, publish, problem)
    failures = 0
    while True:
        gate.published = False
        try:
            await resolver.watch(target, io, gate)
            return
        except Exception as error:
            failures = 1 if gate.published else failures + 1
            gate.report(_sentence(target, error))
            # A wrong document is mended on this machine: looking every second costs nobody anything.
            wait = FIRST_PAUSE if isinstance(error, ConfigError) else pause(failures, io.random())
        await io.sleep(wait)


class _Gate:
    """The `publish` a resolver sees: refuses garbage, stamps, and remembers the last good set."""

    __slots__ = ("_io", "_last", "_problem", "_publish", "_said", "_source", "published")

    def __init__(self, target: Target, io: IO, publish: Publish, problem: Problem) -> None:
        self._io = io
        self._publish = publish
        self._problem = problem
        self._source = target.uri.text
        self._last: EndpointSet | None = None
        self._said = ""
        self.published = False

    def __call__(self, endpoints: object) -> None:
        if not isinstance(endpoints, EndpointSet):
            raise DiscoveryError(f"published {type(endpoints).__name__} where an EndpointSet was due")
        last = self._last
        if last is not None and endpoints.endpoints == last.endpoints:
            kept = last.endpoints
        else:
            require_sane(endpoints)
            kept = endpoints.endpoints
        # A set is nobody else's until it is published: stamping it is not a change.
        endpoints.endpoints = kept
        endpoints.source = endpoints.source or self._source
        endpoints.received = self._io.now()
        self._last = endpoints
        self.published = True
        self.report("")
        self._publish(endpoints)

    def report(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._problem(sentence)


def require_sane(endpoints: EndpointSet) -> None:
    """DiscoveryError when a set could not be used as it is; half a millisecond for 10,000 endpoints."""
    for endpoint in endpoints.endpoints:
        if (
            type(endpoint.host) is not str
            or not endpoint.host
            or type(endpoint.port) is not int
            or not 0 <= endpoint.port < 65536
            or not 0 <= endpoint.weight < 1e9
            or endpoint.priority < 0
        ):
            raise DiscoveryError(f"published a set that makes no sense: {_wrong(endpoint)}")


def _wrong(endpoint: Endpoint) -> str:
    shown = f"{endpoint.host!r}:{endpoint.port!r}"
    if type(endpoint.host) is not str or not endpoint.host:
        return f"{shown} has no host"
    if type(endpoint.port) is not int or not 0 <= endpoint.port < 65536:
        return f"{shown} has no valid port"
    if not isfinite(endpoint.weight) or not 0 <= endpoint.weight < 1e9:
        return f"{shown} has the weight {endpoint.weight!r}"
    return f"{shown} has the priority {endpoint.priority!r}"


def _sentence(target: Target, error: Exception) -> str:
    where = target.uri.text
    if isinstance(error, (DiscoveryError, ConfigError)):
        text = str(error) or type(error).__name__
        named = where in text or (target.uri.path and target.uri.path in text)
        return text if named else f"{where}: {text}"
    if isinstance(error, OSError):
        return f"{where}: {error.strerror or str(error) or type(error).__name__}"
    return f"{where}: {type(error).__name__}: {error}"
