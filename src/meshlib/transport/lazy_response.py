"""LazyResponse: a family's Response that keeps the raw head of a buffered answer, and becomes the rest when somebody looks.

It begins unread, as a response comes from any transport of the family: whatever the family's client does with one works. The
fast client ends it (`FastClient._finished`), and then it is what it would be after the family's client has read it. Whoever looks
at an unread one before (a hook) gets that one, and it goes the family's way from there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from meshlib.transport.lazy import Lazy, reduced
from meshlib.transport.response import History

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt

__all__ = ["Ending", "LazyResponse"]


class Ending:
    """What a client gives every response that it ends: its `default_encoding`, and whether it is async."""

    __slots__ = ("asynchronous", "default_encoding")

    def __init__(self, asynchronous: bool, default_encoding: Any) -> None:
        self.asynchronous: bool = asynchronous
        self.default_encoding: Any = default_encoding


_SEEN = Ending(False, "utf-8")
"""Stands in `_ending` of a response that was looked at unread."""

_CHARSETS: dict[bytes, str | None] = {}
_CHARSETS_KEPT = 256


class _Stream:
    """`response.stream`. One that is put in its place must be the one that is read."""

    def __get__(self, response: Any, owner: type | None = None) -> Any:
        if response is None:
            return self
        found = response.__dict__.get("stream")
        if found is None:
            stream = response.family.ByteStream(response._whole)
            if response._is_over():
                stream = response.bound_stream(stream)
            found = response.__dict__.setdefault("stream", stream)
        return found

    def __set__(self, response: Any, stream: Any) -> None:
        if response._ending is None:
            response._ending = _SEEN
        response.__dict__["stream"] = stream


class LazyResponse:
    """In front of a family's Response. Made by `made`, from what a wire has in hand; not thread-safe, as the family's.

    Pickles and copies are of the family's own class.
    """

    __slots__ = (
        "_attempt",
        "_ending",
        "_network_stream",
        "_raw",
        "_reason",
        "_seconds",
        "_sets_cookies",
        "_version",
        "_whole",
    )

    family: ClassVar[Any]
    """The family's module."""

    _attempt: Attempt
    _ending: Ending | None
    """None while unread and unseen."""
    _network_stream: Any
    _raw: list[tuple[bytes, bytes]]
    _reason: bytes
    _seconds: float
    _sets_cookies: bool
    _version: bytes
    _whole: bytes
    status_code: int
    _content: bytes
    _request: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As the family's response of ours: then nothing about it is lazy."""
        self._ending = _SEEN
        super().__init__(*arguments, **named)

    @classmethod
    def made(
        cls,
        attempt: Attempt,
        status: int,
        reason: bytes,
        headers: list[tuple[bytes, bytes]],
        content: bytes,
        request: Any,
        version: bytes = b"HTTP/1.1",
        network_stream: Any = None,
        sets_cookies: bool | None = None,
    ) -> Any:
        """A whole answer whose body needs no decoding. `headers` are raw, and kept; `sets_cookies`: None if not known."""
        response: Any = cls.__new__(cls)
        response.status_code = status
        response._request = request
        response._attempt = attempt
        response._reason = reason
        response._raw = headers
        response._whole = content
        response._version = version
        response._network_stream = network_stream
        if sets_cookies is None:
            sets_cookies = any(name.lower() == b"set-cookie" for name, _ in headers)
        response._sets_cookies = sets_cookies
        response._ending = None
        return response

    def _is_over(self) -> bool:
        """Whether it is read and closed; if not, it is being looked at, and will be read as the family reads."""
        ending = self._ending
        if ending is None:
            self._ending = _SEEN
            return False
        return ending is not _SEEN

    def bound_stream(self, stream: Any) -> Any:
        """The stream as the family's client leaves it in a response that was read."""
        raise NotImplementedError

    def elapsed_time(self) -> timedelta:
        """Of one that is over."""
        return timedelta(seconds=self._seconds)

    # --- what is worked out when it is read --------------------------------------------------------------------------------

    @Lazy
    def headers(self) -> Any:
        return self.family.Headers(self._raw)

    @Lazy
    def extensions(self) -> Any:
        found: dict[str, Any] = {"http_version": self._version, "reason_phrase": self._reason}
        if self._network_stream is not None:
            found["network_stream"] = self._network_stream
        found["meshlib"] = History(self._attempt)
        return found

    @Lazy
    def history(self) -> Any:
        return []

    @Lazy
    def next_request(self) -> Any:
        return None

    @Lazy
    def is_closed(self) -> Any:
        return self._is_over()

    @Lazy
    def is_stream_consumed(self) -> Any:
        return self._is_over()

    @Lazy
    def _num_bytes_downloaded(self) -> Any:
        return len(self._whole) if self._is_over() else 0

    @Lazy
    def default_encoding(self) -> Any:
        return self._ending.default_encoding if self._is_over() and self._ending is not None else "utf-8"

    stream: Any = _Stream()

    # --- what most callers read, without the rest ---------------------------------------------------------------------------

    @property
    def content(self) -> bytes:
        """As the family's."""
        try:
            return self._content
        except AttributeError:
            found: bytes = super().content  # type: ignore[misc]
            return found

    def _content_type(self) -> bytes | None:
        """The raw Content-Type, where it alone says what the family would find; empty for none."""
        if "headers" in self.__dict__:
            return None
        kinds = [value for name, value in self._raw if name.lower() == b"content-type"]
        if not kinds:
            return b""
        return kinds[0] if len(kinds) == 1 and kinds[0].isascii() else None

    @property
    def charset_encoding(self) -> str | None:
        """As the family's; what it finds in a Content-Type is kept."""
        kind = self._content_type()
        if kind is None:
            asked: str | None = super().charset_encoding  # type: ignore[misc]
            return asked
        try:
            return _CHARSETS[kind]
        except KeyError:
            if len(_CHARSETS) >= _CHARSETS_KEPT:
                _CHARSETS.clear()
            alone = self.family.Response(200, headers=[(b"Content-Type", kind)])
            found: str | None = alone.charset_encoding
            _CHARSETS[kind] = found
            return found

    @property
    def text(self) -> str:
        """As the family's."""
        known = self.__dict__
        if "_text" not in known and "_content" in known and self.encoding == "utf-8":  # type: ignore[attr-defined]
            known["_text"] = self._content.decode("utf-8", "replace")
        found: str = super().text  # type: ignore[misc]
        return found

    def raise_for_status(self) -> Any:
        """As the family's, with the attempts' history."""
        if 200 <= self.status_code <= 299 and self._request is not None:
            return self
        return super().raise_for_status()  # type: ignore[misc]

    def __getstate__(self) -> dict[str, Any]:
        for name in _KEPT:
            getattr(self, name)
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return state

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return reduced(self.family.Response, self.__getstate__())


_KEPT = (
    "headers",
    "history",
    "next_request",
    "is_stream_consumed",
    "default_encoding",
    "_num_bytes_downloaded",
)
"""What the family's pickles hold, besides what is in the instance anyway."""
