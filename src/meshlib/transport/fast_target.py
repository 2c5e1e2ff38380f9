"""Where a URL leads, without parsing it: the target below a known origin, for URLs whose every character stands for itself.

Everything else (dot segments, userinfo, fragments, other characters) is for the family's own URL class, which also says what the
origin itself is, once.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

from meshlib.transport.request_head import header_block

__all__ = ["Place", "Places", "below", "query"]

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%"
"""RFC 3986: unreserved, sub-delims, the delimiters of path and query, and what is percent-encoded already. All of them are
left as they are by the normalisation of httpx and httpx2."""
_UNQUOTED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
"""What quote_plus leaves alone."""
_LONGEST = 8192
_KEPT = 512


class Place:
    """An origin, and the path below which its relative URLs are: `base` as the family's URL, `host` the header line."""

    __slots__ = ("base", "host", "origin", "prefix")

    def __init__(self, base: Any) -> None:
        """Raises ValueError for a URL that requests cannot simply be joined to."""
        if base.scheme not in ("http", "https") or not base.host or base.userinfo:
            raise ValueError("not a plain origin")
        self.base: Any = base
        self.origin: tuple[str, str, int | None] = (base.scheme, base.host, base.port)
        self.host: bytes = header_block([(b"Host", base.netloc)])
        self.prefix: bytes = base.raw_path
        if b"?" in self.prefix or self.prefix[-1:] != b"/":
            raise ValueError("not a folder")


def below(prefix: bytes, url: str) -> bytes | None:
    """The request target of a relative URL below `prefix`, a raw path that ends in a slash. None: not so simple."""
    if len(url) > _LONGEST or not url.isascii():
        return None
    raw = url.encode("ascii")
    # Nothing is left when every character is one of these; dot segments would be resolved.
    if raw.lstrip(_PLAIN) or "/." in url:
        return None
    if url[:1] == "/":
        if url[1:2] == "/":  # an authority
            return None
        return raw if prefix == b"/" else prefix + raw[1:]
    if url[:1] == "." or ":" in url:
        return None
    return prefix + raw


def query(params: dict[Any, Any]) -> bytes | None:
    """What the families make of `params=`, for plain values; None for others."""
    parts = []
    for name, value in params.items():
        if type(name) is not str:
            return None
        kind = type(value)
        if kind is int:
            parts.append(f"{_quoted(name)}={value}")
        elif kind is str:
            parts.append(f"{_quoted(name)}={_quoted(value)}")
        elif kind is bool:
            parts.append(f"{_quoted(name)}={'true' if value else 'false'}")
        else:
            return None
    return "&".join(parts).encode("ascii")


def _quoted(text: str) -> str:
    if text.isascii() and (text.isalnum() or not text.encode("ascii").lstrip(_UNQUOTED)):
        return text
    return quote_plus(text)


class Places:
    """The origins of absolute URLs, as their text writes them. One a family; thread-safe."""

    __slots__ = ("_found", "_module")

    def __init__(self, module: Any) -> None:
        self._module = module
        self._found: dict[str, Place | None] = {}

    def of(self, authority: str) -> Place | None:
        """The place of `http://orders:8080`, whose paths begin with a slash."""
        try:
            return self._found[authority]
        except KeyError:
            pass
        if len(self._found) >= _KEPT:
            self._found.clear()
        place = self._found[authority] = self._parsed(authority)
        return place

    def _parsed(self, authority: str) -> Place | None:
        if "#" in authority or "?" in authority:
            return None
        try:
            place = Place(self._module.URL(authority + "/"))
        except (ValueError, self._module.InvalidURL):
            return None
        return place if place.prefix == b"/" else None

    def absolute(self, url: str) -> tuple[Place, bytes] | None:
        """The place and the target of an absolute URL with a path; None: not so simple."""
        end = url.find("/", 8)
        if end < 0:
            return None
        place = self.of(url[:end])
        if place is None:
            return None
        target = below(b"/", url[end:])
        return None if target is None else (place, target)
