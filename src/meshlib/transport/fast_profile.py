"""Profile: what one client's settings come to, worked out once and good until one of them changes.

It says whether calls may go the fast way at all, and builds their requests.
"""

from __future__ import annotations

import json as jsonlib
import logging
from typing import Any

from meshlib.engine.call import IDEMPOTENT, REPLAYABLE
from meshlib.transport.classify import IDEMPOTENT_METHODS
from meshlib.transport.fast_headers import HeaderBlocks, Lines
from meshlib.transport.fast_target import Place, Places, below, query
from meshlib.transport.lazy_response import Ending
from meshlib.transport.patched import watch_of

__all__ = ["METHODS", "SETTINGS", "ClientKind", "Profile"]

SETTINGS = frozenset(
    {
        "_auth",
        "_base_url",
        "_cookies",
        "_default_encoding",
        "_event_hooks",
        "_headers",
        "_mounts",
        "_params",
        "_state",
        "_timeout",
    }
)
"""Attributes of a client that a profile depends on."""

METHODS = frozenset(
    {
        "send",
        "build_request",
        "_build_auth",
        "_build_redirect_request",
        "_build_request_auth",
        "_merge_cookies",
        "_merge_headers",
        "_merge_queryparams",
        "_merge_url",
        "_send_handling_auth",
        "_send_handling_redirects",
        "_send_single_request",
        "_set_timeout",
        "_transport_for_url",
    }
)
"""What a family's client asks itself on the way of a request: with one of them replaced the call goes that way."""
_PROPERTIES = ("auth", "base_url", "cookies", "event_hooks", "headers", "params", "timeout", "__setattr__")
_OWN = frozenset({"httpx", "httpx2", "meshlib"})

# As the families' own call of json.dumps, which makes a new encoder each time.
_encode = jsonlib.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_METHODS_KEPT = 64
_TARGETS_KEPT = 256
"""URLs of a client whose targets are remembered: most services are asked for few, and again and again."""


class ClientKind:
    """One family's Client or AsyncClient: its classes, and what all clients of the kind share."""

    def __init__(self, client: Any, module: Any, request: Any, response: Any, states: Any) -> None:
        self.client: Any = client
        """The family's class."""
        self.module: Any = module
        self.request: Any = request
        self.response: Any = response
        self.opened: Any = states.OPENED
        self.asynchronous: bool = hasattr(client, "aclose")
        self.not_given: Any = module.USE_CLIENT_DEFAULT
        self.request_error: type[Exception] = module.RequestError
        self.jar: type[Any] = type(module.Cookies().jar)
        self.places: Places = Places(module)
        self.logger: logging.Logger = logging.getLogger(module.__name__)
        self._methods: dict[str, tuple[str, int, bool]] = {}

    def method(self, given: str) -> tuple[str, int, bool]:
        """The method in capitals, the flag of an idempotent one, and whether it announces an empty body."""
        found = self._methods.get(given)
        if found is None:
            name = given.upper()
            probe = self.module.Request(name, "http://probe")
            found = (name, IDEMPOTENT if name in IDEMPOTENT_METHODS else 0, "content-length" in probe.headers)
            if len(self._methods) < _METHODS_KEPT:
                self._methods[given] = found
        return found

    def ending(self, client: Any) -> Ending:
        """What is the same in all responses of a client."""
        profile: Profile | None = client._fast
        return Ending(self.asynchronous, client._default_encoding) if profile is None else profile.ending

    def log(self, request: Any, response: Any) -> None:
        """The family's line about every request."""
        self.logger.info(
            'HTTP Request: %s %s "%s %d %s"',
            request.method,
            request.url,
            response.http_version,
            response.status_code,
            response.reason_phrase,
        )


def _as_written(client: Any) -> bool:
    """Whether nobody has put anything of their own in the way: neither a subclass nor the instance."""
    if not METHODS.isdisjoint(client.__dict__):
        return False
    for name in (*METHODS, *_PROPERTIES):
        owner = next(base for base in type(client).__mro__ if name in base.__dict__)
        if owner.__module__.partition(".")[0] not in _OWN:
            return False
    return True


class Profile:
    """Of one client, dropped when one of its SETTINGS or METHODS is set. What is changed in place is looked at every time."""

    __slots__ = (
        "_builds",
        "_cookies",
        "_hooks",
        "_kind",
        "_known",
        "_listed",
        "_mounts",
        "_place",
        "_source",
        "_usable",
        "_watch",
        "blocks",
        "ending",
        "timeout",
    )

    def __init__(self, client: Any, kind: ClientKind) -> None:
        self._kind = kind
        self._source = client._headers
        self._listed: list[tuple[bytes, bytes, bytes]] = list(client._headers._list)
        self.blocks: HeaderBlocks = HeaderBlocks(self._listed, kind.module.Headers)
        self._cookies = client._cookies
        self._hooks: dict[str, list[Any]] = client._event_hooks
        self._mounts: dict[Any, Any] = client._mounts
        self._watch = watch_of(type(client))
        self._place: Place | None = _place(client._base_url)
        self._known: dict[str, tuple[Place, Any, bytes]] = {}
        self.ending: Ending = Ending(kind.asynchronous, client._default_encoding)
        self.timeout: Any = client._timeout
        self._builds: bool = (
            not client._params
            and type(client._headers) is kind.module.Headers
            and type(client._cookies) is kind.module.Cookies
        )
        self._usable: bool = client._state is kind.opened and client._auth is None and _as_written(client)

    def holds(self) -> bool:
        """Whether the client's headers still are what they were; a profile that does not hold is made again."""
        listed: bool = self._source._list == self._listed
        return listed

    def free(self) -> bool:
        """Whether requests may be sent the fast way: nothing is in use that only the family's client does."""
        hooks = self._hooks
        return (
            self._usable
            and self._source._list == self._listed
            and not self._mounts
            and not hooks["request"]
            and not hooks["response"]
            and not self._watch.patched()
        )

    def request(
        self, given_method: Any, url: Any, content: Any, json: Any, params: Any, headers: Any
    ) -> Any | None:
        """A LazyRequest without its extensions, or None: the family's client has to build this one."""
        kind = self._kind
        jar = self._cookies.jar
        if not self._builds or type(jar) is not kind.jar or jar._cookies or type(given_method) is not str:
            return None
        found = self._found(url, params)
        if found is None:
            return None
        place, known, target = found
        lines = self.blocks.plain if headers is None else self.blocks.of(headers)
        if lines is None:
            return None
        if content is not None:
            if type(content) is str:
                content = content.encode("utf-8")
            elif type(content) is not bytes:
                return None
        method, flags, announced = kind.method(given_method)
        request = kind.request.__new__(kind.request)
        request.method = method
        if content is None and json is None:
            block = (
                place.host + b"Content-Length: 0\r\n" + lines.block if announced else place.host + lines.block
            )
            body = b""
        else:
            block, body = _with_body(place.host, lines, content, json, announced)
        request._block = block
        request._body = request._content = body
        request._base = place.base
        if known is not None:
            request.__dict__["url"] = known
        request._origin = place.origin
        request._target = target
        request._names = lines.names
        request._flags = flags | (REPLAYABLE | IDEMPOTENT if lines.repeatable else REPLAYABLE)
        return request

    def _found(self, url: Any, params: Any) -> tuple[Place, Any, bytes] | None:
        """The place of a URL, the URL itself if it is one, and the target."""
        place = self._place
        if type(url) is not str:
            return self._object(url) if params is None else None
        if url[:1] == "/" or "://" not in url:
            if place is None:
                return None
            target = below(place.prefix, url)
            if target is None:
                return None
        else:
            found = self._kind.places.absolute(url)
            if found is None:
                return None
            place, target = found
        if params is not None:
            asked = query(params) if type(params) is dict else None
            if not asked:
                return None
            target = target.partition(b"?")[0] + b"?" + asked
        return place, None, target

    def _object(self, url: Any) -> tuple[Place, Any, bytes] | None:
        """Of the family's URL object, which is normal already."""
        if type(url) is not self._kind.module.URL or url.userinfo:
            return None
        place = self._kind.places.of(f"{url.scheme}://{url.netloc.decode('ascii')}")
        return None if place is None else (place, url, url.raw_path)


def _with_body(
    host: bytes, lines: Lines, content: bytes | None, json: Any, announced: bool
) -> tuple[bytes, bytes]:
    """The header block and the body of a request with `content` or `json`; where both are given the first is sent."""
    if content is None:
        body = _encode(json).encode("utf-8")
        if not lines.typed:
            form = b"%b%bContent-Length: %d\r\nContent-Type: application/json\r\n"
            return form % (host, lines.block, len(body)), body
    elif content:
        body = content
    else:
        return (host + b"Content-Length: 0\r\n" if announced else host) + lines.block, content
    return b"%b%bContent-Length: %d\r\n" % (host, lines.block, len(body)), body


def _place(base: Any) -> Place | None:
    try:
        return Place(base)
    except ValueError:
        return None
