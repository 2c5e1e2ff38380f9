"""Shared: the state behind decorated functions, found by name and kept in line with policy.

What holds for a function is put together from three layers, key by key: the defaults for functions, the group of
`[services.<name>]` in the runtime's policy document, and the decorator's own arguments, which win. `false` in the document
turns the group off, whatever the arguments: they say how, it says whether. `[defaults]` speaks of services and is not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from meshlib.core.listener import Event
from meshlib.errors import CircuitOpenError, ConfigError, LimitExceededError, RateLimitedError
from meshlib.policy.spec import ServiceTable
from meshlib.runtime import Runtime, borrowed, default
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.policy import PolicySnapshot

__all__ = ["REFUSALS", "UNSET", "Shared", "given", "named", "runtime_of", "shared"]

REFUSALS = (CircuitOpenError, LimitExceededError, RateLimitedError)
"""What we refuse ourselves says nothing about what would have been called."""

UNSET: Any = object()
"""An argument that was not given."""

S = TypeVar("S", bound="Shared")

_NOBODY = ServiceTable()
_lock = Lock()
_shared: WeakValueDictionary[tuple[type[Shared], str, int], Shared] = WeakValueDictionary()


class _Guard:
    """Gives the child of a fork a new lock."""

    def after_in_child(self) -> None:
        global _lock
        _lock = Lock()


_guard = _Guard()
fork.watch(_guard)


class Shared:
    """See the module. Bound to a runtime at the first call and again when policy or, after a fork, the kept state is new.

    Functions hold it; the last one of a name takes it along. Thread-safe.
    """

    __slots__ = (
        "__weakref__",
        "_chosen",
        "_keep",
        "_policy",
        "_runtime",
        "arguments",
        "clock",
        "events",
        "name",
        "off",
        "random",
    )
    group: ClassVar[str]
    """The policy key that configures it."""

    def __init__(self, name: str, runtime: Runtime | None) -> None:
        self.name: str = name
        self.arguments: dict[str, Any] = {}
        self.off: bool = False
        self._chosen = runtime
        self._runtime: Runtime | None = None
        self._policy: PolicySnapshot | None = None
        self._keep: Any = None
        self.clock: Callable[[], float]
        self.random: Callable[[], float]
        self.events: deque[Event]

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> None:
        """ConfigError for arguments that cannot hold, whatever policy says."""
        raise NotImplementedError

    def prepare(self, layer: Any) -> Any:
        """What follows from a policy layer (None: nothing is written) and the arguments; may run the user's code."""
        raise NotImplementedError

    def apply(self, prepared: Any, runtime: Runtime) -> None:
        """Put it in force. Under the lock: no user code."""
        raise NotImplementedError

    @property
    def runtime(self) -> Runtime:
        """The runtime that the state lives in; bound and up to date."""
        self.refresh()
        assert self._runtime is not None
        return self._runtime

    def refresh(self) -> None:
        """Bind if anything is new: two comparisons when nothing is, once a call."""
        runtime = self._runtime
        if runtime is None or runtime.policy is not self._policy or runtime.keep is not self._keep:
            self._bind()

    def _bind(self) -> None:
        runtime = self._chosen or default()
        runtime.keep_up()  # a process that only decorates functions has no service to begin it
        while True:
            policy, keep, arguments = runtime.policy, runtime.keep, self.arguments
            # A document names services in lower case, as hosts are.
            table = policy.document.services.get(self.name.lower(), _NOBODY)
            layer = table.layer.get(self.group)
            prepared = self.prepare(None if layer is False or layer is True else layer)
            with _lock:
                # Prepared outside the lock, so it may be old by now; what is applied is always what is remembered.
                if policy is not runtime.policy or arguments is not self.arguments:
                    continue
                self.clock, self.random, self.events = runtime.clock, runtime.random, runtime.events
                self.apply(prepared, runtime)
                self.off = layer is False
                self._runtime, self._keep, self._policy = runtime, keep, policy
                return

    def join(self, arguments: Mapping[str, Any]) -> None:
        """Add a decorator's arguments; they win where they differ from earlier ones."""
        self.check(arguments)
        if arguments:
            with _lock:
                self.arguments = {**self.arguments, **arguments}
                self._policy = None

    def refused(self, reason: str, now: float) -> None:
        """Tell the listener of a refusal of ours."""
        self.events.append(Event("refusal", self.name, now, {"reason": reason, "kind": "function"}))
        self.deliver()

    def deliver(self) -> None:
        """Hand what happened, refusals and transitions alike, to the runtime's listener. Never under a lock."""
        listener = None if self._runtime is None else self._runtime.listener
        events = self.events
        while events:
            try:
                event = events.popleft()
            except IndexError:  # another thread delivered it
                return
            if listener is not None:
                listener.event(event)


def shared(kind: type[S], name: str, runtime: Runtime | None, arguments: Mapping[str, Any]) -> S:
    """The one state of this kind and name on that runtime (None: the process's default), with these arguments added."""
    key = (kind, name, id(runtime))
    with _lock:
        found: Any = _shared.get(key)
        if found is None:
            found = kind(name, runtime)
            _shared[key] = found
    found.join(arguments)
    state: S = found
    return state


def given(**arguments: Any) -> dict[str, Any]:
    """Those arguments that were given."""
    return {key: value for key, value in arguments.items() if value is not UNSET}


def runtime_of(mesh: Any) -> Runtime | None:
    """The runtime of a `mesh=` argument; None stands for the default one, which is not built before the first call."""
    return None if mesh is None else borrowed(mesh, None, None, None, "")[0]


def named(word: str, name: Any) -> str | None:
    """A decorator's name argument, checked."""
    if name is not None and not (isinstance(name, str) and name):
        raise ConfigError(f"@{word} takes a name (text that is not empty), got {name!r}")
    return name
