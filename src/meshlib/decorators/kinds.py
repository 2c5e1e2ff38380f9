"""Kinds: what may be decorated, whether it is awaited, and what it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from meshlib.errors import ConfigError

__all__ = ["decorated", "exceptions", "is_async", "name_of"]

S = TypeVar("S")

Wrap = Callable[[Callable[..., Any], S], Callable[..., Any]]


def decorated(
    word: str, function: Any, attribute: str, state: Callable[[str], S], sync: Wrap[S], asynchronous: Wrap[S]
) -> Any:
    """A function wrapped by `sync` or `asynchronous` around the state of its name, which is left at `attribute`.

    The wrapper has the function's name, documentation and signature, and what other decorators left on it. Methods, partials
    and callable objects are functions here; a classmethod or staticmethod is taken apart and put together again, so that
    either order of the decorators works. ConfigError for what has no single result to protect.
    """
    if isinstance(function, classmethod | staticmethod):
        inner = decorated(word, function.__func__, attribute, state, sync, asynchronous)
        return classmethod(inner) if isinstance(function, classmethod) else staticmethod(inner)
    _refuse(word, function)
    found = state(name_of(function))
    if is_async(function):
        wrapper = asynchronous(_awaitable(function), found)
    else:
        wrapper = sync(function, found)
    # An object's own attributes are not the wrapper's; a function's are.
    updated = ("__dict__",) if inspect.isfunction(function) else ()
    functools.update_wrapper(wrapper, function, updated=updated)
    if not hasattr(function, "__qualname__"):
        source = _source(function)
        for name in ("__name__", "__qualname__", "__module__"):
            setattr(wrapper, name, getattr(source, name))
    setattr(wrapper, attribute, found)
    return wrapper


def name_of(function: Any) -> str:
    """`module.qualname` of a function, of what a partial calls, or of a callable object's class."""
    source = _source(function)
    return f"{source.__module__}.{source.__qualname__}"


def is_async(function: Any) -> bool:
    """Whether its result is awaited: a coroutine function, a partial or object that is one, or a wrapper around one."""
    outer = _called(function)
    return inspect.iscoroutinefunction(outer) or inspect.iscoroutinefunction(_called(inspect.unwrap(outer)))


def exceptions(word: str, value: Any) -> tuple[type[Exception], ...]:
    """One exception class or several as a tuple. ConfigError for anything else, also for BaseException's other children."""
    classes = value if isinstance(value, tuple) else (value,)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, Exception)):
            raise ConfigError(
                f"{word} takes subclasses of Exception or a function that judges one, got {one!r}: "
                "KeyboardInterrupt, SystemExit and CancelledError always pass through"
            )
    return classes


def _called(function: Any) -> Any:
    """The function that runs in the end: a partial's, an object's `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function.__call__ if callable(function) and not inspect.isroutine(function) else function


def _source(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function)


def _refuse(word: str, function: Any) -> None:
    if not callable(function) or isinstance(function, type):
        raise ConfigError(f"@{word} decorates functions and methods, got {function!r}")
    called = _called(function)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise ConfigError(
            f"@{word} cannot decorate the generator function {name_of(function)}: it has run nothing yet when the call "
            "returns, and what it has yielded cannot be taken back. Decorate the function that fetches one item, or use "
            "mesh.attempts()"
        )


def _awaitable(function: Any) -> Any:
    """A wrapper that is no coroutine function itself may hand out the coroutine, or run it: only the first can be awaited."""
    if inspect.iscoroutinefunction(_called(function)):
        return function

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if not inspect.isawaitable(result):
            raise ConfigError(
                f"{name_of(function)} wraps a coroutine function and returned {type(result).__name__} instead of "
                "its coroutine: put the decorator below the one that runs it"
            )
        return await result

    return awaited
