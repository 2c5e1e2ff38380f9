"""`@circuit_breaker`: stop calling a function that keeps failing, and find out with one call when it works again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from meshlib.decorators.kinds import decorated, exceptions
from meshlib.decorators.shared import REFUSALS, UNSET, Shared, given, named, runtime_of, shared
from meshlib.errors import CircuitOpenError
from meshlib.resilience.breaker import BreakerOptions, CircuitBreaker, State
from meshlib.runtime import Runtime

__all__ = ["Breaking", "FunctionBreaker", "circuit_breaker"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
O = TypeVar("O")  # noqa: E741
R_co = TypeVar("R_co", covariant=True)

# A function has no instances whose failures ejection would handle, so a run of them means the whole of it (Finagle: 5).
_DEFAULTS = {"consecutive_failures": 5}

Judge = Callable[[Exception], bool]
Ignore = type[Exception] | tuple[type[Exception], ...] | Judge


class FunctionBreaker(Shared):
    """What `fn.breaker` is: the breaker of a name, on whichever runtime it lives now. Thread-safe."""

    __slots__ = ("_breaker",)
    group = "breaker"

    def __init__(self, name: str, runtime: Runtime | None) -> None:
        super().__init__(name, runtime)
        self._breaker: CircuitBreaker

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> None:
        """ConfigError for options out of bounds."""
        BreakerOptions(**arguments)

    def prepare(self, layer: Any) -> BreakerOptions:
        """The options in force."""
        return BreakerOptions(**{**_DEFAULTS, **(layer or {}), **self.arguments})

    def apply(self, prepared: Any, runtime: Runtime) -> None:
        """Find the breaker, or make it."""
        self._breaker = runtime.keep.breaker("function", self.name, prepared)

    @property
    def current(self) -> CircuitBreaker:
        """The breaker itself."""
        self.refresh()
        return self._breaker

    @property
    def state(self) -> State:
        """Closed, open or half-open."""
        return self.current.state

    @property
    def options(self) -> BreakerOptions:
        """What is in force."""
        return self.current.options

    @property
    def enabled(self) -> bool:
        """False while the policy document says `breaker = false` for this name: then every call is let through."""
        self.refresh()
        return not self.off

    @property
    def retry_after(self) -> float:
        """Seconds until a refused call may be admitted; 0 while calls are admitted."""
        breaker = self.current
        return breaker.retry_after(self.clock())

    def __repr__(self) -> str:
        return f"FunctionBreaker({self.name!r})"

    def admit(self) -> tuple[CircuitBreaker, int, float]:
        """The breaker, a permit for one call (0: none is needed) and the time. Raises CircuitOpenError."""
        self.refresh()
        breaker, now = self._breaker, self.clock()
        permit = 0 if self.off else breaker.admit(now)
        if permit or self.off:
            return breaker, permit, now
        wait = breaker.retry_after(now)
        self.refused("breaker", now)
        raise CircuitOpenError(
            f"a call to {self.name} was refused: its circuit breaker is {breaker.state.value}, next try in {wait:.1f} s",
            target=self.name,
            retry_after=wait,
        )

    def end(self, breaker: CircuitBreaker, permit: int, good: bool | None, started: float) -> None:
        """Settle a permit: good, bad, or None for a call that says nothing."""
        if permit:
            now = self.clock()
            if good is None:
                breaker.release(permit, now)
            else:
                breaker.record(permit, good, now - started, now)
        if self.events:
            self.deliver()

    def failed(
        self, breaker: CircuitBreaker, permit: int, started: float, error: BaseException, ignored: Judge
    ) -> None:
        """Settle the permit of a call that raised; cancellation and signals say nothing."""
        good: bool | None = None
        try:
            if isinstance(error, Exception) and not ignored(error):
                good = False
        finally:  # a judge that raises itself has not judged
            self.end(breaker, permit, good, started)


class Breaking(Protocol[P, R_co]):
    """A function with a circuit breaker: called as before, and its breaker within reach."""

    @property
    def breaker(self) -> FunctionBreaker:
        """The breaker, shared with all functions of its name."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call it. Raises CircuitOpenError when the breaker refuses."""
        ...

    # At run time this is a plain function, which binds by itself; checkers have to be told (tenacity#532).
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...
    @overload
    def __get__(
        self: Breaking[Concatenate[O, Q], R], instance: O, owner: type[Any] | None = None, /
    ) -> Breaking[Q, R]: ...


class Decorator(Protocol):
    """What the called form returns."""

    def __call__(self, function: Callable[P, R], /) -> Breaking[P, R]:
        """Decorate a function."""
        ...


@overload
def circuit_breaker(function: Callable[P, R], /) -> Breaking[P, R]:
    """The bare form, `@circuit_breaker`: all options at their defaults."""


@overload
def circuit_breaker(
    name: str | None = None,
    /,
    *,
    failure_ratio: float = ...,
    window: float | str = ...,
    minimum_calls: int = ...,
    consecutive_failures: int | None = ...,
    slow_call: float | str | None = ...,
    slow_ratio: float = ...,
    open_for: float | str = ...,
    max_open_for: float | str = ...,
    half_open_probes: int = ...,
    ignore: Ignore = ...,
    mesh: Any = None,
) -> Decorator: ...
def circuit_breaker(
    function: Any = None,
    /,
    *,
    failure_ratio: Any = UNSET,
    window: Any = UNSET,
    minimum_calls: Any = UNSET,
    consecutive_failures: Any = UNSET,
    slow_call: Any = UNSET,
    slow_ratio: Any = UNSET,
    open_for: Any = UNSET,
    max_open_for: Any = UNSET,
    half_open_probes: Any = UNSET,
    ignore: Any = (),
    mesh: Any = None,
) -> Any:
    """Guard a function, sync or async, by a circuit breaker that all functions of the same name share.

        @circuit_breaker("payments", consecutive_failures=5, open_for=2.0)
        def charge(order): ...

    Without a name it is `module.qualname`, the function's own. Options are those of the policy's `breaker` group, in
    seconds; by default 5 failures in a row open it, or half of at least 20 calls in 10 s. `[services.<name>] breaker` of the
    mesh's policy applies beneath the arguments. A call fails by raising an Exception, unless `ignore` (classes, or a
    function that judges one) has it or it is a refusal of our own (CircuitOpenError, LimitExceededError,
    RateLimitedError): such a call says nothing, and cancellation neither.

    Raises CircuitOpenError, with `retry_after`, instead of calling; ConfigError when decorating with options out of bounds
    or a generator function. Calls run in parallel: no lock is held while the function runs. Place it inside `@retry`.
    `fn.breaker` is the breaker.
    """
    runtime = runtime_of(mesh)
    ignored = _ignored(ignore)
    arguments = given(
        failure_ratio=failure_ratio,
        window=window,
        minimum_calls=minimum_calls,
        consecutive_failures=consecutive_failures,
        slow_call=slow_call,
        slow_ratio=slow_ratio,
        open_for=open_for,
        max_open_for=max_open_for,
        half_open_probes=half_open_probes,
    )
    FunctionBreaker.check(arguments)
    bare = not (function is None or isinstance(function, str))
    name = None if bare else named("circuit_breaker", function)

    def state(own: str) -> FunctionBreaker:
        return shared(FunctionBreaker, name or own, runtime, arguments)

    def decorate(target: Any) -> Any:
        return decorated(
            "circuit_breaker",
            target,
            "breaker",
            state,
            lambda called, site: _sync(called, site, ignored),
            lambda called, site: _async(called, site, ignored),
        )

    return decorate(function) if bare else decorate


def _ignored(ignore: Ignore) -> Judge:
    if not isinstance(ignore, type | tuple) and callable(ignore):
        return lambda error: isinstance(error, REFUSALS) or ignore(error)
    classes: tuple[type[Exception], ...] = (*REFUSALS, *exceptions("ignore", ignore))
    return lambda error: isinstance(error, classes)


def _sync(function: Callable[..., Any], site: FunctionBreaker, ignored: Judge) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        breaker, permit, started = site.admit()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            site.failed(breaker, permit, started, error, ignored)
            raise
        site.end(breaker, permit, True, started)
        return result

    return guarded


def _async(function: Callable[..., Any], site: FunctionBreaker, ignored: Judge) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        breaker, permit, started = site.admit()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            site.failed(breaker, permit, started, error, ignored)
            raise
        site.end(breaker, permit, True, started)
        return result

    return guarded
