"""HTTP facts of a request, read by duck type: any object with a `method` and a parsed `url` will do.

So this file serves httpx, httpx2 and whatever looks like them without importing one. A family that knows better gives a
method `describe_http(request) -> HttpFacts | None`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from meshlib.core.uri import redact_url
from meshlib.telemetry import names

__all__ = ["HttpFacts", "http_facts", "is_http", "known_methods"]

# RFC 9110 section 9 and PATCH (RFC 5789), as the conventions list them.
_METHODS = "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE"
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def known_methods() -> frozenset[str]:
    """The methods that are named as they are; others are `_OTHER`. OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS replaces the list."""
    listed = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS") or _METHODS
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


class HttpFacts:
    """What spans and metrics say of a request, the same for all attempts of a call.

    `host` is the logical name in the URL, `port` the URL's or its scheme's. `original` is the method as written when it is
    not a known one, else "".
    """

    __slots__ = ("_url", "host", "method", "original", "port")

    def __init__(self, method: str, original: str, host: str, port: int, url: Callable[[], object]) -> None:
        self.method: str = method
        self.original: str = original
        self.host: str = host
        self.port: int = port
        self._url = url

    @property
    def url(self) -> str:
        """The URL without userinfo, query and fragment; made when asked for, because metrics do without."""
        return redact_url(str(self._url()))


def is_http(request: Any) -> bool:
    """Whether the request looks like an HTTP request. Its class is asked first: a request may make its URL when it is read."""
    return hasattr(request, "method") and (hasattr(type(request), "url") or hasattr(request, "url"))


def http_facts(family: Any, request: Any, known: frozenset[str]) -> HttpFacts | None:
    """The facts of a request, or None when it is not HTTP.

    A family that knows where a request leads (`origin`) and how its URL reads (`url_text`) is asked before the URL itself.
    """
    describe = getattr(family, "describe_http", None)
    if describe is not None:
        found: HttpFacts | None = describe(request)
        return found
    if not is_http(request):
        return None
    written = str(request.method)
    method = written if written in known else names.OTHER_METHOD
    text = getattr(family, "url_text", None)
    if text is None:
        url = request.url
        scheme, host, port = (getattr(url, name, None) for name in ("scheme", "host", "port"))
        read: Callable[[], object] = partial(str, url)
    else:
        scheme, host, port = family.origin(request)
        read = partial(text, request)
    return HttpFacts(
        method,
        "" if method is written else written,
        host or "",
        port or _DEFAULT_PORTS.get(scheme or "", 0),
        read,
    )
