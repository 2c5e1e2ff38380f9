"""Border: objects of httpx and of httpx2 never mix, and the first one on the wrong side is named.

They look alike and are no subclasses of each other, so that most mixtures seem to work: until an error of the one is not
caught by the other's `except`, or a repeated query parameter is lost in a conversion.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Border"]

_FAMILIES = frozenset({"httpx", "httpx2"})


class Border:
    """Around the family `module`. Everything here raises TypeError, before anything is sent."""

    __slots__ = ("_module", "_others")

    def __init__(self, module: Any) -> None:
        self._module: Any = module
        self._others: frozenset[str] = _FAMILIES - {module.__name__}

    def refuse(self, where: str, *objects: Any) -> None:
        """None of `objects` may be of the other family's classes."""
        for one in objects:
            if type(one).__module__ == "builtins":
                continue
            for base in type(one).__mro__:
                if base.__module__.partition(".")[0] in self._others:
                    self._raise(where, base)

    def request(self, request: Any) -> None:
        """`request` is one of this family."""
        if not isinstance(request, self._module.Request):
            self._raise("this transport", type(request))

    def response(self, response: Any, stream: Any) -> None:
        """What a user's transport answered is one of this family, its body a `stream`."""
        if not isinstance(response, self._module.Response):
            self._raise("a client", type(response))
        if not isinstance(response.stream, stream):
            self._raise("a response", type(response.stream))

    def _raise(self, where: str, kind: type[Any]) -> None:
        name, got = self._module.__name__, f"{kind.__module__}.{kind.__name__}"
        other = kind.__module__.partition(".")[0]
        if other not in self._others:
            raise TypeError(f"{where} takes objects of {name}, got {got}")
        home = "meshlib.Client" if other == "httpx" else f"meshlib.{other}.Client"
        raise TypeError(
            f"{where} takes objects of {name}, got {got}: the families do not mix. "
            f'{other} goes with {home} and with mesh.transport(family="{other}")'
        )
