"""Pool: the connections to one endpoint, newest first, with a line of waiters when the most are open.

Sans-IO and shared by threads and event loops: it decides, the wires connect and close. The newest idle connection is used
first, so that what a burst opened grows idle and ends, and the one in use is the one least likely to have been closed by the
peer. Taking and giving back are single dict operations, which Python's dicts do atomically; only counting and the line of
waiters take the lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Generic, Protocol, TypeVar

from meshlib.core.deadline import NEVER
from meshlib.core.wait import Wait

__all__ = ["Pool", "Pooled", "Turn"]

UNREPEATABLE_IDLE = 2.0
"""A request that may not be repeated never goes out on a connection that has been idle for longer than this, in seconds: a
server that closes it at that moment would leave the caller not knowing."""


class Pooled(Protocol):
    """What a pool asks of a connection. `stamp` is the identity it was made under, `since` when it became idle, `expires`
    when it is too old (or too long idle) to be used again; monotonic seconds."""

    stamp: int
    since: float
    expires: float

    def stale(self, thorough: bool) -> bool:
        """Whether the peer has closed it, or spoke out of turn. `thorough` asks the kernel even if that costs."""
        ...

    def discard(self) -> None:
        """Close it now, without a word."""
        ...


C = TypeVar("C", bound=Pooled)


class Turn(Wait, Generic[C]):
    """A place in line for a connection. Granted with one in hand, or with None: room to make one, already counted."""

    __slots__ = ("connection", "gone")

    def __init__(self, until: float, returned: Callable[[], None]) -> None:
        super().__init__("connection", until, returned)
        self.connection: C | None = None
        self.gone: bool = False
        """Whether the waiter has left."""

    def abandon(self) -> None:
        """See `Wait.abandon`."""
        self.gone = True
        super().abandon()


class Pool(Generic[C]):
    """See the module. `most` bounds the open connections (those being made among them), `keep` the idle ones. Thread-safe."""

    __slots__ = ("_keep", "_lock", "_most", "_waiting", "idle", "open", "retired", "stamp")

    def __init__(self, most: int | None = None, keep: int | None = None) -> None:
        self._most: float = NEVER if most is None else most
        self._keep: float = NEVER if keep is None else keep
        self._lock = Lock()
        self._waiting: deque[Turn[C]] = deque()
        self.idle: dict[C, None] = {}
        """Longest idle first."""
        self.open: int = 0
        self.retired: bool = False
        """Set once: idle connections have closed, the others close when they come back."""
        self.stamp: int = 0
        """Connections made under another stamp are not used again; they close when next looked at."""

    def take(self, now: float, repeatable: bool) -> C | None:
        """An idle connection that is fit for the request, or None: ask for `room` then."""
        idle = self.idle
        while idle:
            try:
                connection, _ = idle.popitem()
            except KeyError:  # another thread was faster
                return None
            if now < connection.expires and connection.stamp == self.stamp:
                if not repeatable and now - connection.since > UNREPEATABLE_IDLE:
                    self._again(connection)  # all others have been idle for longer
                    return None
                if not connection.stale(not repeatable):
                    return connection
            self.drop(connection)
        return None

    def room(self, until: float) -> Turn[C] | None:
        """None: make a connection, it is counted. Otherwise the turn to wait for, and then to ask `received`; `abandon` it
        when the time is up."""
        with self._lock:
            if self.open < self._most:
                self.open += 1
                return None
            waiting = self._waiting
            while waiting and waiting[0].gone:
                waiting.popleft()  # else the line would grow for as long as no connection comes back
            turn: Turn[C] = Turn(until, lambda: self._returned(turn))
            waiting.append(turn)
        if self.idle:
            self._match()  # one was given back between `take` and the line
        return turn

    def received(self, turn: Turn[C], now: float, repeatable: bool) -> C | None:
        """What a granted turn brought, if it is fit for the request: the waiter may have woken late. None: make a connection,
        it is counted."""
        connection = turn.connection
        if connection is None:
            return None
        fit = now < connection.expires and connection.stamp == self.stamp
        fit = fit and (repeatable or now - connection.since <= UNREPEATABLE_IDLE)
        # Just given back is when servers close: asking the kernel costs less than a lost attempt.
        if fit and not connection.stale(True):
            return connection
        connection.discard()
        return None

    def give(self, connection: C, now: float, expires: float) -> None:
        """A connection is idle again, usable until `expires`; the next in line gets it at once."""
        if self.retired or connection.stamp != self.stamp or now >= expires or len(self.idle) >= self._keep:
            self.drop(connection)
            return
        connection.since = now
        connection.expires = expires
        self.idle[connection] = None
        if self._waiting:
            self._match()
        if self.retired:
            self.sweep(NEVER)  # type: ignore[unreachable]  # retired in between

    def drop(self, connection: C) -> None:
        """Close a connection that this pool gave out or that was made for it."""
        connection.discard()
        self.left()

    def lost(self, connection: C) -> None:
        """The peer closed a connection; one that was idle is forgotten."""
        if self.idle.pop(connection, self) is None:
            self.left()

    def left(self) -> None:
        """One connection fewer, or one that could not be made: its room goes to the next in line."""
        turn = None
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                turn.connection = None
                if turn.grant():
                    break
                turn = None
            if turn is None:
                self.open -= 1
        if turn is not None:
            turn.wake()

    def sweep(self, now: float) -> None:
        """Close idle connections whose time is over."""
        for connection in list(self.idle):
            if now >= connection.expires or connection.stamp != self.stamp:
                self._close_idle(connection)

    def retire(self) -> None:
        """Keep none any more."""
        self.retired = True
        for connection in list(self.idle):
            self._close_idle(connection)

    def _close_idle(self, connection: C) -> None:
        if self.idle.pop(connection, self) is None:  # else a call was faster
            self.drop(connection)

    def _match(self) -> None:
        """Idle connections to waiters, oldest waiter first."""
        while self._waiting:
            try:
                connection, _ = self.idle.popitem()
            except KeyError:
                return
            granted = None
            with self._lock:
                while self._waiting and granted is None:
                    turn = self._waiting.popleft()
                    turn.connection = connection
                    granted = turn if turn.grant() else None
            if granted is None:
                self._again(connection)  # looks for waiters once more: one may have come since
                return
            granted.wake()

    def _returned(self, turn: Turn[C]) -> None:
        """A waiter left after it was granted: what it had goes on."""
        connection, turn.connection = turn.connection, None
        if connection is None:
            self.left()
        else:
            self._again(connection)

    def _again(self, connection: C) -> None:
        """Idle as before; meanwhile somebody may have queued for it, or the pool been retired."""
        self.give(connection, connection.since, connection.expires)
