"""What both lean wires share: the pools, how long connections live, and what a response is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from meshlib.core.deadline import NEVER
from meshlib.engine.call import IDEMPOTENT
from meshlib.transport.body import OpenBodies
from meshlib.transport.connections import Connections
from meshlib.transport.handshake import Handshakes, ascii_host
from meshlib.transport.lean_aio import AsyncConnection
from meshlib.transport.lean_errors import LeanError, translation
from meshlib.transport.lean_sync import Connection
from meshlib.transport.outgoing import DEFAULT_PORTS
from meshlib.transport.pool import Pool, Turn
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node
    from meshlib.security.secured import ServiceSecurity
    from meshlib.transport.binding import Binding
    from meshlib.transport.handshake import Tls
    from meshlib.transport.pool_options import PoolOptions

__all__ = ["NO_TIMEOUTS", "SWEEP", "Lean", "seconds"]

NO_TIMEOUTS: dict[str, float | None] = {}
SWEEP = 5.0
"""Seconds between looks at connections that have been idle for too long."""

C = TypeVar("C", Connection, AsyncConnection)


def seconds(timeouts: dict[str, float | None], kind: str) -> float:
    """One of a request's four timeouts; `inf` for none."""
    found = timeouts.get(kind)
    return NEVER if found is None else found


class Lean(Generic[C]):
    """The pools of one wire, by node and whether they speak TLS. `security` is the service's policy for that, if it has one."""

    def __init__(
        self,
        binding: Binding,
        options: PoolOptions,
        clock: Callable[[], float],
        security: Callable[[], ServiceSecurity | None] = lambda: None,
        service: str = "",
    ) -> None:
        self.service: str = service
        self.binding: Binding = binding
        self.options: PoolOptions = options
        self.clock: Callable[[], float] = clock
        self.connections: Connections = Connections(clock, options.max_age)
        self.bodies: OpenBodies = OpenBodies(clock)
        self._translated = translation(binding.module)
        self.handshakes: Handshakes = Handshakes(binding, security, options.ssl_context, ("http/1.1",))
        self._plain: dict[Node, Pool[C]] = {}
        self._secure: dict[Node, Pool[C]] = {}
        self._idle: float = NEVER if options.idle is None else options.idle
        self._leads: tuple[str, str, int | None] | None = None
        fork.watch(self)

    def after_in_child(self) -> None:
        """Neither pools nor leases are this process's; the descriptors are let go by `connections`."""
        self.bodies.forked = True
        fork.abandon(self._plain, self._secure, self.bodies)
        self._plain, self._secure = {}, {}

    # --- before an exchange --------------------------------------------------------------------------------------------

    def _pool(self, node: Node, tls: Tls | None) -> Pool[C]:
        pools = self._plain if tls is None else self._secure
        pool = pools.get(node)
        if pool is None:
            # Two threads may both make one; the one that is not kept holds no connection yet.
            pool = pools.setdefault(node, Pool(self.options.max_connections, self.options.max_idle))
            pool.retired = self.connections.retired
        if tls is not None and pool.stamp != tls.version:
            # Rotated: connections of the old identity end when they are next looked at.
            pool.stamp = tls.version
        return pool

    def _address(self, node: Node, port: int | None, tls: Tls | None) -> tuple[str, int]:
        endpoint = node.endpoint
        return endpoint.host, endpoint.port or port or DEFAULT_PORTS[b"http" if tls is None else b"https"]

    def _asked(self, request: Any) -> int | None:
        """The port in a URL that a connection is made for; what the URL says is remembered for `warm`."""
        scheme, _, port = self.binding.origin(request)
        self._leads = (scheme, ascii_host(request), port)
        return port

    def _ahead(self, node: Node) -> tuple[Pool[C], tuple[str, int], Tls | None] | None:
        """The pool, the address and the TLS of a connection before any request wants it, its room counted; None when there is
        no need: no request has said yet how the service is spoken to, or something is open."""
        if self._leads is None:
            return None
        scheme, host, port = self._leads
        tls = self.handshakes.to(node.endpoint, scheme, host)
        pool = self._pool(node, tls)
        if pool.open or pool.retired:
            return None
        turn = pool.room(0.0)
        if turn is not None:
            turn.abandon()
            return None
        return pool, self._address(node, port, tls), tls

    def _kept(self, connection: C) -> None:
        """A connection that was made ahead waits in its pool."""
        now = self.clock()
        connection.pool.give(connection, now, min(now + self._idle, connection.dies))

    def _connect_by(self, attempt: Attempt, timeouts: dict[str, float | None]) -> float:
        """When connecting must be over."""
        given, most = timeouts.get("connect"), attempt.call.plan.connect_timeout
        end = self.clock() + (most if given is None or given > most else given)
        return end if end < attempt.until else attempt.until

    def _wait_until(self, attempt: Attempt, timeouts: dict[str, float | None]) -> float:
        """How long a free connection is waited for."""
        end = self.clock() + seconds(timeouts, "pool")
        return end if end < attempt.until else attempt.until

    def _received(self, pool: Pool[C], turn: Turn[C], attempt: Attempt) -> C | None:
        """What waiting brought: a connection, or None and the room to make one. Raises LeanError when it brought nothing."""
        if not turn.granted:
            turn.abandon()
            raise LeanError("PoolTimeout", "no connection became free in time")
        return pool.received(turn, self.clock(), bool(attempt.call.flags & IDEMPOTENT))

    # --- after it ------------------------------------------------------------------------------------------------------

    def _response(self, attempt: Attempt, connection: C, stream: Any) -> Any:
        core = connection.core
        extensions = {
            "http_version": core.version,
            "reason_phrase": core.reason,
            "network_stream": connection,
        }
        return self.binding.response(attempt, core.status, core.headers, stream, extensions)

    def _whole(self, attempt: Attempt, request: Any, connection: C, now: float) -> Any:
        """The response of a message that is here to its end."""
        core = connection.core
        parts = core.parts
        content = parts[0] if len(parts) == 1 else b"".join(parts)
        lazy = self.binding.lazy_response
        if lazy is None or core.encoded:
            response = self._response(attempt, connection, self.binding.ByteStream(content))
        else:
            response = lazy.made(
                attempt,
                core.status,
                core.reason,
                core.headers,
                content,
                request,
                core.version,
                connection,
                core.sets_cookies,
            )
        self._back(connection, now)
        return response

    def _loosened(
        self, attempt: Attempt, timeouts: dict[str, float | None], now: float
    ) -> tuple[float, float]:
        """After the head of a streamed response only the read timeout between chunks and `stream_timeout` hold."""
        most = attempt.call.plan.stream_timeout
        return seconds(timeouts, "read"), NEVER if most is None else now + most

    def _back(self, connection: C, now: float) -> None:
        """An exchange is over: the connection returns to its pool, or closes."""
        core = connection.core
        core.parts = []  # an idle connection holds on to no body
        if not core.reusable:
            connection.pool.drop(connection)
            return
        expires = now + self._idle
        told = core.keep_alive
        if told is not None and now + told - 1.0 < expires:
            expires = now + told - 1.0  # the peer's own count began earlier, by the way of its answer
        connection.pool.give(connection, now, expires if expires < connection.dies else connection.dies)

    # --- upkeep --------------------------------------------------------------------------------------------------------

    def _pools(self) -> list[Pool[C]]:
        return list(self._plain.values()) + list(self._secure.values())

    def sweep(self) -> None:
        """Close connections that have been idle for too long."""
        now = self.clock()
        for pool in self._pools():
            if pool.idle:
                pool.sweep(now)

    def drop(self, node: Node) -> None:
        """The node is gone for good: close its idle connections now, the others when their exchange ends."""
        for pools in (self._plain, self._secure):
            pool = pools.pop(node, None)
            if pool is not None:
                pool.retire()

    def _retire(self) -> None:
        self.connections.retired = True
        for pool in self._pools():
            pool.retire()
