"""Registry: the named members of one extension point, ours and third parties'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar

from meshlib.errors import ConfigError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Members by name. A member is registered as `module:attribute` text and imported on first use.

    `what` names the kind in errors ("balancer"), `group` is the entry-point group scanned when a name is unknown to us
    (never at import: a scan took 80 ms with 100 distributions installed).
    """

    def __init__(self, what: str, group: str) -> None:
        self.what = what
        self.group = group
        self._members: dict[str, str | T] = {}

    def register(self, name: str, member: str | T) -> None:
        """Add or replace a member: the object itself, or where to import it from."""
        self._members[name] = member

    def names(self) -> list[str]:
        """All names that can be looked up, entry points included, sorted."""
        return sorted({*self._members, *self._entry_points()})

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def get(self, name: str) -> T:
        """The member called `name`; ConfigError lists the known ones."""
        member = self._members.get(name)
        if member is None:
            load = self._entry_points().get(name)
            if load is None:
                raise ConfigError(self._unknown(name))
            member = load()
            self._members[name] = member
        elif isinstance(member, str):
            module, _, attribute = member.partition(":")
            loaded: T = getattr(import_module(module), attribute)
            self._members[name] = loaded
            return loaded
        return member

    def _unknown(self, name: str) -> str:
        known = self.names()
        close = get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"unknown {self.what} {name!r}: known are {', '.join(known)}{hint}"

    def _entry_points(self) -> dict[str, Callable[[], T]]:
        from importlib.metadata import entry_points

        return {point.name: point.load for point in entry_points(group=self.group)}
