"""Match: the condition of a route. Everything that is written must hold; what is not written is not asked.

Semantics are Gateway API's HTTPRouteMatch: `path` is the whole path, `path_prefix` ends at a segment's boundary
(`/v1/rep` does not match `/v1/reports`) and its trailing slash means nothing; header values are exact, header
names know no case. A path is compared as it is on the wire, without its query and without undoing %-escapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from re import compile
from typing import Annotated, Any, ClassVar, Protocol

from msgspec import Meta

from meshlib.core.expected import shown
from meshlib.core.options import Options, Problem

__all__ = ["Headers", "Match"]

_TOKEN = compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_IN_PATHS = compile(r"[?#\s]|//")


class Headers(Protocol):
    """What a match reads of a request's headers (or gRPC metadata): `get` by a name in lower case."""

    def get(self, name: str, /) -> str | None:
        """The value, or None."""
        ...


class Match(Options, frozen=True, kw_only=True):
    """`match` of a route; empty, it matches every request."""

    group: ClassVar[str] = "match"

    path: Annotated[str | None, Meta(description="The whole path.")] = None
    path_prefix: Annotated[
        str | None, Meta(description="The path up to the end of a segment (Gateway API).")
    ] = None
    methods: Annotated[
        tuple[str, ...],
        Meta(description="Methods, any of them; empty is all. They know case (RFC 9110 9.1)."),
    ] = ()
    headers: Annotated[
        Mapping[str, str], Meta(description="Header names and exact values, all of them.")
    ] = {}

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Paths, methods and header names that no request can have."""
        problems: list[Problem] = []
        for key in ("path", "path_prefix"):
            path = values.get(key)
            if path is not None and (not path.startswith("/") or _NOT_IN_PATHS.search(path)):
                problems.append(
                    (
                        (key,),
                        f"expected a path such as /v1/reports, without query or fragment, got {shown(path)}",
                    )
                )
        if values.get("path") is not None and values.get("path_prefix") is not None:
            problems.append((("path_prefix",), "path and path_prefix exclude each other: keep one"))
        for method in values.get("methods", ()):
            if not _TOKEN.fullmatch(method) or method != method.upper():
                problems.append(
                    (("methods",), f"expected methods in capitals, such as GET, got {shown(method)}")
                )
        for name in values.get("headers", ()):
            if not _TOKEN.fullmatch(name):
                problems.append((("headers",), f"{shown(name)} cannot be a header's name"))
        return problems

    @property
    def prefix(self) -> str | None:
        """`path_prefix` without its trailing slash: `/` becomes empty, and every path starts with that."""
        return None if self.path_prefix is None else self.path_prefix.rstrip("/")

    def holds(self, method: str, path: str, headers: Headers) -> bool:
        """Whether the request matches. `path` is without query."""
        if self.path is not None and path != self.path:
            return False
        prefix = self.prefix
        if prefix is not None and not (path == prefix or path.startswith(prefix + "/")):
            return False
        return self.admits(method, headers)

    def admits(self, method: str, headers: Headers) -> bool:
        """Whether everything but the path matches."""
        if self.methods and method not in self.methods:
            return False
        return all(headers.get(name.lower()) == value for name, value in self.headers.items())
