"""RouteTable: the first route that matches, found without asking all of them.

Routes are indexed by path or by path prefix, and keep their rank; a look-up asks the whole path, each of its
prefixes down to the deepest one written, and the routes that name no path. With a thousand routes that is a
handful of dictionary look-ups, and the answer is the same as going through the list from the top.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from meshlib.routing.match import Headers, Match
from meshlib.routing.split import Split

__all__ = ["Route", "RouteTable"]

T = TypeVar("T")


class Route(Generic[T]):
    """A rule: what it matches, how its calls are split (None: all endpoints), and what the engine compiled for it.

    Immutable by convention. `target` is the owner's own; the table never looks at it.
    """

    __slots__ = ("match", "name", "split", "target")

    def __init__(self, name: str, match: Match, split: Split | None, target: T) -> None:
        self.name: str = name
        self.match: Match = match
        self.split: Split | None = split
        self.target: T = target

    def __repr__(self) -> str:
        return f"Route({self.name!r})"


class _Ranked(Generic[T]):
    """A route at its place in the list, with the part of its match that a bucket has not answered yet."""

    __slots__ = ("headers", "methods", "rank", "route")

    def __init__(self, rank: int, route: Route[T]) -> None:
        self.rank = rank
        self.route = route
        self.methods = frozenset(route.match.methods)
        self.headers = tuple((name.lower(), value) for name, value in route.match.headers.items())


class RouteTable(Generic[T]):
    """Routes of one service in order; the first match wins. Immutable, safe to share among threads."""

    __slots__ = ("_anywhere", "_depth", "_exact", "_prefixes", "routes")

    def __init__(self, routes: Iterable[Route[T]] = ()) -> None:
        self.routes: Sequence[Route[T]] = tuple(routes)
        self._exact: dict[str, list[_Ranked[T]]] = {}
        self._prefixes: dict[str, list[_Ranked[T]]] = {}
        self._anywhere: list[_Ranked[T]] = []
        for rank, route in enumerate(self.routes):
            self._bucket(route.match).append(_Ranked(rank, route))
        # How many segments the deepest prefix has: a hostile path of ten thousand slashes costs no more than that.
        self._depth = max((prefix.count("/") for prefix in self._prefixes), default=-1)

    def _bucket(self, match: Match) -> list[_Ranked[T]]:
        if match.path is not None:
            return self._exact.setdefault(match.path, [])
        prefix = match.prefix
        return self._anywhere if prefix is None else self._prefixes.setdefault(prefix, [])

    def __bool__(self) -> bool:
        return bool(self.routes)

    def find(self, method: str, path: str, headers: Headers) -> Route[T] | None:
        """The first route that matches, or None. `path` is without query; `headers.get` takes names in lower case."""
        if not self.routes:
            return None
        found = _first(self._anywhere, method, headers, None)
        bucket = self._exact.get(path)
        if bucket is not None:
            found = _first(bucket, method, headers, found)
        if self._depth >= 0:
            found = self._by_prefix(method, path, headers, found)
        return None if found is None else found.route

    def _by_prefix(
        self, method: str, path: str, headers: Headers, found: _Ranked[T] | None
    ) -> _Ranked[T] | None:
        end = path.find("/")
        for _ in range(self._depth + 1):
            if end < 0:
                end = len(path)
            bucket = self._prefixes.get(path[:end])
            if bucket is not None:
                found = _first(bucket, method, headers, found)
            if end == len(path):
                break
            end = path.find("/", end + 1)
        return found


def _first(
    bucket: list[_Ranked[T]], method: str, headers: Headers, found: _Ranked[T] | None
) -> _Ranked[T] | None:
    """The first of the bucket that matches and stands before `found`; otherwise `found`."""
    for candidate in bucket:
        if found is not None and candidate.rank > found.rank:
            return found
        if candidate.methods and method not in candidate.methods:
            continue
        for name, value in candidate.headers:
            if headers.get(name) != value:
                break
        else:
            return candidate
    return found
