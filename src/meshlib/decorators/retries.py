"""`@retry`: repeat a function that failed, a few times, under a budget and within the deadline."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from meshlib.core.deadline import AMBIENT
from meshlib.core.outcome import Kind, Outcome
from meshlib.decorators.kinds import decorated, exceptions
from meshlib.decorators.shared import REFUSALS, UNSET, Shared, given, named, runtime_of, shared
from meshlib.errors import AttemptFacts, MeshError, duration_text
from meshlib.resilience.backoff import Backoff, BackoffOptions
from meshlib.resilience.budget import BudgetOptions, RetryBudget
from meshlib.resilience.retry import RetryOptions, RetryPolicy, Stop
from meshlib.runtime import Runtime

__all__ = ["FunctionRetry", "Retrying", "retry"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
O = TypeVar("O")  # noqa: E741
R_co = TypeVar("R_co", covariant=True)

Judge = Callable[[Exception], bool]
On = type[Exception] | tuple[type[Exception], ...] | Judge
Wait = Mapping[str, Any] | BackoffOptions | Backoff | Callable[[Any], Any]

# Every failure has this one cause: which exceptions are retried is `on`'s business, not the policy's.
_CAUSE = "error"
_NOT_SPENT = (Stop.NOT_LISTED, Stop.ATTEMPTS, Stop.DEADLINE, Stop.NOT_SAFE)
_SERIAL = count(1)
_CHAIN = 32


class _Asked(Shared):
    """The budget that any function of a name asked for; only its arguments matter, it is never bound."""

    __slots__ = ()
    group = "retry"

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> None:
        """Checked with the others."""


class FunctionRetry(Shared):
    """What `fn.retry` is: the options in force and the budget, which functions of one name share. Thread-safe."""

    __slots__ = ("_asked", "_budget", "_options", "_verdicts")
    group = "retry"

    def __init__(self, name: str, runtime: Runtime | None) -> None:
        super().__init__(name, runtime)
        self._asked = shared(_Asked, name, runtime, {})
        self._budget: RetryBudget | None
        self._options: RetryOptions
        self._verdicts: RetryPolicy

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> None:
        """ConfigError for options out of bounds and waits that cannot work."""
        RetryPolicy(RetryOptions(**arguments))

    def prepare(self, layer: Any) -> tuple[RetryOptions, RetryPolicy]:
        """The options in force. `on` of a document names causes of requests, which a function has none of."""
        written = {**(layer or {}), **self._asked.arguments, **self.arguments, "on": (_CAUSE,)}
        options = RetryOptions(**written)
        return options, RetryPolicy(options)

    def apply(self, prepared: Any, runtime: Runtime) -> None:
        """Find the budget, or make it. Its key is no service's: the calls inside deposit there themselves."""
        self._options, self._verdicts = prepared
        budget = self._options.budget
        self._budget = None if budget is False else runtime.keep.budget(f"function:{self.name}", budget)

    def ask(self, budget: Any) -> None:
        """Set the budget of all functions of the name; False is this one's own affair."""
        if budget is False:
            self.join({"budget": False})
        elif budget is not UNSET:
            self._asked.join({"budget": budget})

    @property
    def options(self) -> RetryOptions:
        """What is in force."""
        self.refresh()
        return self._options

    @property
    def budget(self) -> RetryBudget | None:
        """The budget, or None without one."""
        self.refresh()
        return self._budget

    @property
    def enabled(self) -> bool:
        """False while the policy document says `retry = false` for this name."""
        self.refresh()
        return not self.off

    def __repr__(self) -> str:
        return f"FunctionRetry({self.name!r})"


class Retrying(Protocol[P, R_co]):
    """A function that is retried: called as before, and its options and budget within reach."""

    @property
    def retry(self) -> FunctionRetry:
        """The options in force and the budget."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call it. Raises what the last attempt raised."""
        ...

    # At run time this is a plain function, which binds by itself; checkers have to be told (tenacity#532).
    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...
    @overload
    def __get__(
        self: Retrying[Concatenate[O, Q], R], instance: O, owner: type[Any] | None = None, /
    ) -> Retrying[Q, R]: ...


class Decorator(Protocol):
    """What the called form returns."""

    def __call__(self, function: Callable[P, R], /) -> Retrying[P, R]:
        """Decorate a function."""
        ...


@overload
def retry(function: Callable[P, R], /) -> Retrying[P, R]:
    """The bare form, `@retry`: all options at their defaults."""


@overload
def retry(
    name: str | None = None,
    /,
    *,
    attempts: int = ...,
    on: On = ...,
    wait: Wait = ...,
    budget: Mapping[str, Any] | BudgetOptions | bool = ...,
    mesh: Any = None,
) -> Decorator: ...
def retry(
    function: Any = None,
    /,
    *,
    attempts: Any = UNSET,
    on: Any = Exception,
    wait: Any = UNSET,
    budget: Any = UNSET,
    mesh: Any = None,
) -> Any:
    """Repeat a function, sync or async, that raised one of `on` (classes, or a function that judges an exception).

        @retry(attempts=3, on=(ConnectionError, TimeoutError))
        def fetch(): ...

    By default 3 attempts in all, full jitter of 25 ms x 2^n up to 250 ms between them, and a budget that functions of one
    name share: 20 % of their calls plus 10 a second, over 10 s. `wait` is a mapping of the policy's `retry.wait` keys, a
    Backoff, or a tenacity wait object; `budget=False` goes without. `[services.<name>] retry` of the mesh's policy applies
    beneath the arguments (its `on` excepted). `on` is any Exception unless given: name the ones that may go away by
    themselves.

    An error's `retry_after` (seconds) is waited for. Never repeated: after the ambient deadline, nor when the wait would end
    there; a MeshError that says `retry_safe` False; an error of retries that were spent inside, so that nested retries do
    not multiply; our own refusals (CircuitOpenError, LimitExceededError, RateLimitedError), unless `on` names that class or
    a judge accepts it. What is not an Exception always passes through.

    Raises what the last attempt raised, with the history as a note; ConfigError when decorating. Place it outside
    `@circuit_breaker` and inside the `@timeout` of the whole, or outside that of one attempt. `fn.retry` has options and
    budget.
    """
    runtime = runtime_of(mesh)
    judge = _judge(on)
    arguments = given(attempts=attempts, wait=wait)
    FunctionRetry.check({**arguments, **given(budget=budget)})
    bare = not (function is None or isinstance(function, str))
    name = None if bare else named("retry", function)

    def state(own: str) -> FunctionRetry:
        site = FunctionRetry(name or own, runtime)
        site.join(arguments)
        site.ask(budget)
        return site

    def decorate(target: Any) -> Any:
        return decorated(
            "retry",
            target,
            "retry",
            state,
            lambda called, site: _sync(called, site, judge),
            lambda called, site: _async(called, site, judge),
        )

    return decorate(function) if bare else decorate


def _judge(on: On) -> Judge:
    if not isinstance(on, type | tuple) and callable(on):
        return on
    classes = exceptions("on", on)
    refusals = tuple(one for one in classes if issubclass(one, REFUSALS))

    def listed(error: Exception) -> bool:
        if isinstance(error, REFUSALS):
            # A breaker is open so that nobody calls: whoever wants to wait for it says so.
            return isinstance(error, refusals)
        return isinstance(error, classes)

    return listed


def _sync(function: Callable[..., Any], site: FunctionRetry, judge: Judge) -> Callable[..., Any]:
    def retried(*args: Any, **kwargs: Any) -> Any:
        site.refresh()
        if site.off:
            return function(*args, **kwargs)
        course = _Course(site, judge)
        while True:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                delay = course.after(error)
                if delay is None:
                    raise
            # Out here the error is not the context of the next one.
            time.sleep(delay)
            course.again()

    return retried


def _async(function: Callable[..., Any], site: FunctionRetry, judge: Judge) -> Callable[..., Any]:
    async def retried(*args: Any, **kwargs: Any) -> Any:
        site.refresh()
        if site.off:
            return await function(*args, **kwargs)
        course = _Course(site, judge)
        while True:
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                delay = course.after(error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)
            course.again()

    return retried


class _Course:
    """One call of a retried function: what its attempts met and whether there is another."""

    __slots__ = ("_begun", "_facts", "_judge", "_outer", "_serial", "_site", "_started")

    def __init__(self, site: FunctionRetry, judge: Judge) -> None:
        self._site = site
        self._judge = judge
        self._facts: tuple[AttemptFacts, ...] = ()
        self._outer = sys.exception()
        self._serial = next(_SERIAL)
        self._started = self._begun = now = site.clock()
        if site._budget is not None:
            site._budget.deposit(now)

    def again(self) -> None:
        """The next attempt begins."""
        self._serial = next(_SERIAL)
        self._begun = self._site.clock()

    def after(self, error: Exception) -> float | None:
        """Seconds before the next attempt, or None: the error stands, and carries what was tried."""
        site = self._site
        now = site.clock()
        number, kind = len(self._facts) + 1, type(error).__name__
        fact = AttemptFacts(number, f"attempt {number}", _CAUSE, f"raised {kind}", now - self._begun)
        self._facts += (fact,)
        answer = self._verdict(error, now)
        if not isinstance(answer, Stop):
            if site._budget is None or site._budget.withdraw(now):
                return answer
            site.refused("budget", now)
            answer = Stop.BUDGET
        if number > 1 or answer not in _NOT_SPENT:
            self._tell(error, answer, now)
        return None

    def _verdict(self, error: Exception, now: float) -> float | Stop:
        if not self._judge(error):
            return Stop.NOT_LISTED
        if self._spent(error):
            return Stop.NOT_SAFE
        outcome = Outcome(Kind.FAILURE, _CAUSE, self._facts[-1].text, retry_safe=True, pushback=_asked(error))
        site = self._site
        return site._verdicts.verdict(len(self._facts), True, True, outcome, site.random, now, AMBIENT.get())

    def _spent(self, error: BaseException | None) -> bool:
        """Whether retries inside were spent on this error or on one that it stems from.

        Stops at what the caller was handling when it called us, which Python hangs on as a context, too.
        """
        for _ in range(_CHAIN):
            if error is None or error is self._outer:
                return False
            if isinstance(error, MeshError) and error.retry_safe is False:
                return True
            # Later than the begin of this attempt: an exception object may have been raised by another call before.
            if getattr(error, "_meshlib_spent", 0) > self._serial:
                return True
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return False

    def _tell(self, error: Exception, stop: Stop, now: float) -> None:
        """Mark the error as spent and add the history, in the place of that of an earlier call with the same object."""
        made = len(self._facts)
        head = f"{self._site.name} failed after "
        attempts = "1 attempt" if made == 1 else f"{made} attempts"
        trail = "; ".join(map(str, (*self._facts, stop.phrase)))
        try:
            error._meshlib_spent = next(_SERIAL)  # type: ignore[attr-defined]
            notes = getattr(error, "__notes__", None)
            if notes:
                notes[:] = [note for note in notes if not note.startswith(head)]
            error.add_note(f"{head}{attempts} {duration_text(now - self._started)}: {trail}")
        except (AttributeError, TypeError):
            return  # an immutable exception: it is raised as it is


def _asked(error: Exception) -> float | None:
    """The pause that the error asks for, in seconds; texts and dates are for whoever made the error to read."""
    asked = getattr(error, "retry_after", None)
    return float(asked) if isinstance(asked, int | float) and not isinstance(asked, bool) else None
