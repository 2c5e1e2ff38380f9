"""Whether anybody has put functions of their own into the classes of httpx or httpcore.

Tracers and mocks (Sentry, Datadog, OpenTelemetry's instrumentation, respx, pytest-httpx, vcrpy) hook into a client by replacing
methods, before meshlib is imported or long after, and some put them back. What meshlib does instead of httpx must be
done by httpx again while such a hook is there, so this is asked for every call.

A function counts as the original when it is a plain function, wraps no other, and was defined in the client's own package
or in ours. That is judged once for each function that is found in a place; from then on the place is only compared with
it by identity (equality would not do: wrapt's proxies are equal to what they wrap). Not seen is a function whose code object
is replaced in place, which none of the tools above does.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

__all__ = ["ClientWatch", "original", "watch_of"]

_FAMILIES = frozenset(("httpx", "httpx2"))
_OWN = frozenset(("httpx", "httpx2", "httpcore", "httpcore2", "meshlib"))
_CLIENT_METHODS = (
    "send",
    "build_request",
    "_send_handling_auth",
    "_send_handling_redirects",
    "_send_single_request",
    "_transport_for_url",
)
_FAMILY_METHODS = ("request", "send", "build_request")
"""Of httpx's class, where ours have their own in front."""


def original(function: object) -> bool:
    """Whether `function`, as it stands in a class, is one that httpx, httpcore or meshlib wrote.

    By the package of the module it was defined in and not by the name of a file, which a frozen application has none of.
    """
    if type(function) is not FunctionType or "__wrapped__" in function.__dict__:
        return False
    name = function.__globals__.get("__name__", "")
    return isinstance(name, str) and name.partition(".")[0] in _OWN


def _place(cls: type, name: str) -> tuple[type, Any]:
    """The class in which `cls.name` is found, and what stands there, without the descriptor's doing."""
    for owner in cls.__mro__:
        if name in owner.__dict__:
            return owner, owner.__dict__[name]
    raise AttributeError(f"{cls.__name__} has no {name}")


class _Culprit:
    """A function that is not an original, and where it was found."""

    __slots__ = ("_function", "_name", "_namespace")

    def __init__(self, owner: type, name: str, function: object) -> None:
        self._namespace = owner.__dict__
        self._name = name
        self._function = function

    def stands(self) -> bool:
        return self._namespace.get(self._name) is self._function


class ClientWatch:
    """The methods that a call of a client of class `cls` would go through in httpx. Thread-safe.

    Also true for a subclass that overrides one of them. Made once a class: see `watch_of`.
    """

    __slots__ = (
        "_auth",
        "_build",
        "_cls",
        "_culprit",
        "_family",
        "_family_build",
        "_family_request",
        "_family_send",
        "_redirects",
        "_send",
        "_single",
        "_transport",
    )

    def __init__(self, cls: type) -> None:
        self._cls: Any = cls
        self._family: Any = next(
            base for base in cls.__mro__ if base.__module__.partition(".")[0] in _FAMILIES
        )
        self._culprit: _Culprit | None = None
        self._look()

    def patched(self) -> bool:
        """Whether one of them is not what httpx and meshlib wrote. At most 0.2 us."""
        culprit = self._culprit
        if culprit is not None:
            return culprit.stands() or self._look()
        cls, family = self._cls, self._family
        # A chain of `is`, because this is asked for every call: a loop over the names takes three times as long.
        if (
            cls.send is self._send
            and cls._send_single_request is self._single
            and cls._transport_for_url is self._transport
            and cls._send_handling_auth is self._auth
            and cls._send_handling_redirects is self._redirects
            and cls.build_request is self._build
            and family.request is self._family_request
            and family.send is self._family_send
            and family.build_request is self._family_build
        ):
            return False
        return self._look()

    def _look(self) -> bool:
        """Judge what stands there now. Threads that do so at once store the same, or look again at the next call."""
        found = []
        for owner, names in ((self._cls, _CLIENT_METHODS), (self._family, _FAMILY_METHODS)):
            for name in names:
                place, function = _place(owner, name)
                if not original(function):
                    self._culprit = _Culprit(place, name, function)
                    return True
                found.append(function)
        # What was judged, and not what stands there by now: a plain function is all that its class gives out for it.
        (
            self._send,
            self._build,
            self._auth,
            self._redirects,
            self._single,
            self._transport,
            self._family_request,
            self._family_send,
            self._family_build,
        ) = found
        self._culprit = None
        return False


_watches: dict[type, ClientWatch] = {}


def watch_of(cls: type) -> ClientWatch:
    """The watch that all clients of a class share. To be kept by each: looking it up takes a third as long as asking it."""
    try:
        return _watches[cls]
    except KeyError:
        return _watches.setdefault(cls, ClientWatch(cls))
