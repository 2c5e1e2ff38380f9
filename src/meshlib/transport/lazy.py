"""Lazy: an attribute that is worked out by the first who reads it, and an ordinary one from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Lazy", "reduced"]


class Lazy:
    """For a name that a client family keeps in the instance: `fill(instance)` gives the value, once.

    No data descriptor: what is in the instance is found before this, so the second read, and an assignment, are as they are in
    the family's own class. Two threads that read at once get the same object.
    """

    __slots__ = ("_fill", "_name")

    def __init__(self, fill: Callable[[Any], Any]) -> None:
        self._fill = fill
        self._name = fill.__name__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return instance.__dict__.setdefault(self._name, self._fill(instance))


def reduced(plain: type, state: dict[str, Any]) -> tuple[Any, ...]:
    """What `__reduce_ex__` answers for an object that is pickled and copied as one of the family's own class `plain`.

    So a pickle can be read where meshlib is not installed. (`object.__new__` and not copyreg's helper: pickle refuses to give
    that one a class which is not the object's own.)
    """
    return object.__new__, (plain,), state
