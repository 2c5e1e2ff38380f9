"""What happens at `os.fork`: a registry of the objects that must know, and the burial of what the child inherits.

A child owns copies of the parent's file descriptors but shares the kernel objects behind them. Closing an inherited
event loop through asyncio would take the parent's sockets out of the epoll set both look at, and a TLS object closed
politely would say goodbye on the parent's connection. So a child drops such things without running their code:
`abandon` keeps the objects alive (no finaliser runs), `silence` replaces their descriptors.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from typing import Any

__all__ = ["abandon", "silence", "watch"]

_lock = threading.RLock()
_watched: dict[int, weakref.ref[Any]] = {}
_at_fork: list[Any] = []
_abandoned: list[Any] = []


def watch(subject: object) -> None:
    """Call `before_fork`, `after_in_parent` and `after_in_child` of `subject` (those it has) around every fork.

    Held weakly. `before_fork` runs in reverse order of registration, the other two in order, as `os.register_at_fork`
    does. Python prints and ignores what they raise. Thread-safe; forgets dead subjects by itself.
    """
    key = id(subject)

    def forget(gone: weakref.ref[Any]) -> None:
        # The id may belong to a newer object by now. No lock: a finaliser must never wait for one.
        if _watched.get(key) is gone:
            _watched.pop(key, None)

    with _lock:
        _watched[key] = weakref.ref(subject, forget)


def abandon(*subjects: object) -> None:
    """Keep inherited objects alive until the process ends, so that no finaliser of theirs runs in this child."""
    _abandoned.extend(subjects)


def silence(descriptors: Iterable[int]) -> None:
    """Point inherited descriptors at the null device.

    The child's reference to the shared kernel object is gone (the parent's close then really closes), while the number
    stays taken: code that still holds it gets an error from the null device instead of hitting a new file that
    happened to receive the same number.
    """
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for descriptor in descriptors:
            if descriptor > 2 and descriptor != null:
                try:
                    os.dup2(null, descriptor, inheritable=False)
                except OSError:
                    pass
    finally:
        os.close(null)


def _call(name: str, subjects: Iterable[Any]) -> None:
    for subject in subjects:
        hook = getattr(subject, name, None)
        if hook is not None:
            try:
                hook()
            except Exception as error:
                _report(subject, name, error)


def _report(subject: object, name: str, error: Exception) -> None:
    # One broken hook must not keep the others from running, least of all between fork and the lock's release.
    import sys
    from types import SimpleNamespace

    sys.unraisablehook(
        SimpleNamespace(
            exc_type=type(error),
            exc_value=error,
            exc_traceback=error.__traceback__,
            err_msg=f"Exception ignored in {name}",
            object=subject,
        )
    )


def _before() -> None:
    _lock.acquire()
    _at_fork[:] = [subject for reference in list(_watched.values()) if (subject := reference()) is not None]
    _call("before_fork", reversed(_at_fork))


def _in_parent() -> None:
    try:
        _call("after_in_parent", _at_fork)
    finally:
        _at_fork.clear()
        _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()  # the inherited one may count waiters that do not exist here
    subjects = list(_at_fork)
    _at_fork.clear()
    _call("after_in_child", subjects)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
