"""`@timeout`: bound a function, whatever it calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Annotated, Any, ClassVar, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from msgspec import Meta

from meshlib.core.deadline import AMBIENT, NEVER
from meshlib.core.options import Options
from meshlib.decorators.isolation import THREADS, Isolation, pool
from meshlib.decorators.kinds import decorated, name_of
from meshlib.decorators.shared import UNSET, Shared, given, named, runtime_of
from meshlib.drivers.wheel import wheel
from meshlib.errors import ConfigError, DeadlineExceededError, LimitExceededError
from meshlib.policy.groups import Timeout
from meshlib.runtime import Runtime

__all__ = ["Bounded", "FunctionTimeout", "TimeoutOptions", "timeout"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
O = TypeVar("O")  # noqa: E741
R_co = TypeVar("R_co", covariant=True)


class TimeoutOptions(Options, frozen=True, kw_only=True):
    """What `@timeout` is told."""

    group: ClassVar[str] = "timeout"

    seconds: Annotated[Timeout | None, Meta(description="The whole call, as of a service (10 s).")] = 10.0
    threads: Annotated[int, Meta(ge=1, le=10_000, description="Isolated calls of one name at once.")] = (
        THREADS
    )


class FunctionTimeout(Shared):
    """What `fn.timeout` is: how long the function may take. Thread-safe."""

    __slots__ = ("_seconds",)
    group = "timeout"

    def __init__(self, name: str, runtime: Runtime | None) -> None:
        super().__init__(name, runtime)
        self._seconds: float | None

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> None:
        """ConfigError for a time out of bounds."""
        TimeoutOptions(**arguments)

    def prepare(self, layer: Any) -> float | None:
        """Seconds in force; None is no deadline."""
        written = {} if layer is None else {"seconds": layer}
        return TimeoutOptions(**{**written, **self.arguments}).seconds

    def apply(self, prepared: Any, runtime: Runtime) -> None:
        """Take it."""
        self._seconds = prepared

    @property
    def seconds(self) -> float | None:
        """What is in force; None while the policy document says `timeout = false` for this name, or by argument."""
        self.refresh()
        return None if self.off else self._seconds

    def __repr__(self) -> str:
        return f"FunctionTimeout({self.name!r})"

    def until(self) -> tuple[float, float]:
        """Now, and when the function has to be done: by its own time or the ambient deadline, whichever is sooner.

        Raises DeadlineExceededError when that is past already.
        """
        self.refresh()
        now, ambient, seconds = self.clock(), AMBIENT.get(), self._seconds
        until = NEVER if seconds is None or self.off else now + seconds
        if until < ambient:
            return now, until
        if ambient > now:
            return now, ambient
        self.refused("deadline", now)
        raise DeadlineExceededError(
            f"{self.name} was not called: the deadline of its caller had passed",
            target=self.name,
            retry_safe=True,
            delivered="no",
        )

    def late(self, started: float, until: float, delivered: str) -> DeadlineExceededError:
        """The error of a function that took too long."""
        return DeadlineExceededError(
            f"{self.name} exceeded its deadline of {until - started:.3g} s: "
            f"{self.clock() - started:.2f} s after its start it was {_FATE[delivered]}",
            target=self.name,
            delivered=delivered,
        )


_FATE = {"yes": "done, but too late", "maybe": "not done"}


class Bounded(Protocol[P, R_co]):
    """A function with a timeout: called as before, and its timeout within reach."""

    @property
    def timeout(self) -> FunctionTimeout:
        """How long it may take."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call it. Raises DeadlineExceededError when it takes too long."""
        ...

    # At run time this is a plain function, which binds by itself; checkers have to be told (tenacity#532).
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...
    @overload
    def __get__(
        self: Bounded[Concatenate[O, Q], R], instance: O, owner: type[Any] | None = None, /
    ) -> Bounded[Q, R]: ...


class Decorator(Protocol):
    """What the called form returns."""

    def __call__(self, function: Callable[P, R], /) -> Bounded[P, R]:
        """Decorate a function."""
        ...


@overload
def timeout(function: Callable[P, R], /) -> Bounded[P, R]:
    """The bare form, `@timeout`: all options at their defaults."""


@overload
def timeout(
    seconds: float | str | None = ...,
    /,
    *,
    name: str | None = None,
    isolate: bool | int = False,
    mesh: Any = None,
) -> Decorator: ...
def timeout(
    function: Any = UNSET, /, *, name: str | None = None, isolate: bool | int = False, mesh: Any = None
) -> Any:
    """Bound a function: `@timeout(2.0)` in seconds, also as text such as "250ms"; nested bounds take the sooner one.

    An async function is cancelled at its deadline, up to 10 ms late. A sync one cannot be stopped, so it is cooperative: the
    ambient deadline is set, which meshlib's clients, waits and `deadline()` obey, and a function that returns late raises
    instead. With `isolate=True` it runs on a thread of a bounded pool, in a copy of the caller's context, and the caller goes
    on in time; the thread finishes what it began, and its result or error is dropped. The pool is shared by name and has
    32 threads, or as many as `isolate=n` says; when all are busy, the abandoned ones included, LimitExceededError is raised at
    once.

    Without seconds, `[services.<name>] timeout` of the mesh's policy holds, else 10 s; `name` is `module.qualname` unless
    given. None is no bound of its own. Raises DeadlineExceededError; the caller's own cancellation passes through, and so does
    what the function raises, however late. ConfigError when decorating. `fn.timeout.seconds` is what is in force.
    """
    runtime = runtime_of(mesh)
    bare = callable(function) or isinstance(function, classmethod)
    arguments = {} if bare else given(seconds=function)
    size = TimeoutOptions(
        **arguments, threads=isolate if isolate is not True and isolate else THREADS
    ).threads
    named("timeout", name)

    def state(own: str) -> FunctionTimeout:
        site = FunctionTimeout(name or own, runtime)
        site.join(arguments)
        return site

    def decorate(target: Any) -> Any:
        return decorated(
            "timeout",
            target,
            "timeout",
            state,
            lambda called, site: (
                _isolated(called, site, pool(site.name, size)) if isolate else _sync(called, site)
            ),
            lambda called, site: _refused(called) if isolate else _async(called, site),
        )

    return decorate(function) if bare else decorate


def _refused(function: Any) -> Any:
    raise ConfigError(
        f"@timeout(isolate=True) is for functions that block a thread: {name_of(function)} is async and is cancelled in time "
        "without it"
    )


def _sync(function: Callable[..., Any], site: FunctionTimeout) -> Callable[..., Any]:
    def bounded(*args: Any, **kwargs: Any) -> Any:
        started, until = site.until()
        token = AMBIENT.set(until)
        try:
            result = function(*args, **kwargs)
        finally:
            AMBIENT.reset(token)
        if site.clock() > until:
            raise site.late(started, until, "yes")
        return result

    return bounded


def _isolated(function: Callable[..., Any], site: FunctionTimeout, threads: Isolation) -> Callable[..., Any]:
    def bounded(*args: Any, **kwargs: Any) -> Any:
        started, until = site.until()
        context = copy_context()
        context.run(AMBIENT.set, until)
        job = threads.submit(partial(context.run, function, *args, **kwargs))
        if job is None:
            site.refused("limit", started)
            raise LimitExceededError(
                f"a call to {site.name} was refused: all {threads.size} threads of its pool are busy",
                target=site.name,
            )
        if not job.wait(None if until == NEVER else max(0.0, until - site.clock())):
            raise site.late(started, until, "maybe")
        return job.result()

    return bounded


def _async(function: Callable[..., Any], site: FunctionTimeout) -> Callable[..., Any]:
    async def bounded(*args: Any, **kwargs: Any) -> Any:
        started, until = site.until()
        alarm = wheel(site.clock).arm(until)
        token = AMBIENT.set(until)
        try:
            return await function(*args, **kwargs)
        except asyncio.CancelledError as error:
            if not alarm.disarm(cancelled=True):
                raise
            raise site.late(started, until, "maybe") from error
        finally:
            alarm.disarm()
            AMBIENT.reset(token)

    return bounded
