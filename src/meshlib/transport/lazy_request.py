"""LazyRequest: a family's Request that is kept as what goes onto the wire, and becomes the rest when somebody looks.

Building httpx's URL and Headers costs several times what sending a small request does, and most are never read. Whoever reads
them may change them: from then on the request is written from them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from meshlib.transport.lazy import reduced

__all__ = ["LazyRequest", "raw_headers"]

Origin = tuple[str, str, int | None]


def raw_headers(block: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a block that `request_head.header_block` made."""
    fields = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        fields.append((name, value))
    return fields


class _Url:
    """`request.url`. Reading changes nothing, for URLs are immutable; another one may lead elsewhere."""

    def __get__(self, request: Any, owner: type | None = None) -> Any:
        if request is None:
            return self
        found = request.__dict__.get("url")
        if found is None:
            found = request._base.copy_with(raw_path=request._target)
            found = request.__dict__.setdefault("url", found)
        return found

    def __set__(self, request: Any, url: Any) -> None:
        request._origin = request._target = None
        request.__dict__["url"] = url


class _Headers:
    """`request.headers`. Handed out, they may be changed at any time: the block holds no longer."""

    def __get__(self, request: Any, owner: type | None = None) -> Any:
        if request is None:
            return self
        found = request.peek()
        request._block = None
        return found

    def __set__(self, request: Any, headers: Any) -> None:
        request._block = None
        request.__dict__["headers"] = headers


class _Stream:
    """`request.stream`."""

    def __get__(self, request: Any, owner: type | None = None) -> Any:
        if request is None:
            return self
        found = request.__dict__.get("stream")
        if found is None:
            found = request.__dict__.setdefault("stream", request.family.ByteStream(request._body))
        return found

    def __set__(self, request: Any, stream: Any) -> None:
        request._body = None
        request.__dict__["stream"] = stream


class LazyRequest:
    """In front of a family's Request. Made by `transport.fast_profile`, never by hand.

    For transports, each None from when it may no longer hold: `_origin` as Binding.origin gives it; `_target`, path and query
    as they stand in the request line; `_block`, the checked header lines, each with its line end, without the blank one;
    `_body`, the whole body. With `_block`: `_names`, the lower-case names in it but Host and what was added for the body, and
    `_flags`, the engine's IDEMPOTENT and REPLAYABLE. A block never asks for more than to be written: no Transfer-Encoding,
    Expect or Upgrade, no Connection but keep-alive, and the Content-Length is that of `_body`.

    May be sent by several threads at once, as the family's. Pickles and copies are of the family's own class.
    """

    __slots__ = ("_base", "_block", "_body", "_flags", "_names", "_origin", "_target")

    family: ClassVar[Any]
    """The family's module."""

    _base: Any
    """The family's URL that `_target` is below."""
    _block: bytes | None
    _body: bytes | None
    _flags: int
    _names: frozenset[bytes]
    _origin: Origin | None
    _target: bytes | None
    method: str
    extensions: dict[str, Any]

    url: Any = _Url()
    headers: Any = _Headers()
    stream: Any = _Stream()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As the family's: then nothing about it is lazy."""
        self._origin = self._target = self._block = self._body = None
        super().__init__(*arguments, **named)

    def peek(self) -> Any:
        """The headers, for a reader that does not change them and does not keep them."""
        found = self.__dict__.get("headers")
        if found is None:
            block = self._block
            if block is None:  # another thread was handed them meanwhile
                return self.__dict__["headers"]
            found = self.__dict__.setdefault("headers", self.family.Headers(raw_headers(block)))
        return found

    def path(self) -> str:
        """`url.path`, without the URL where it can be."""
        target = self._target
        if target is None or b"%" in target:
            found: str = self.url.path
            return found
        return target.partition(b"?")[0].decode("ascii")

    def __getstate__(self) -> dict[str, Any]:
        _ = self.url, self.peek()  # then they are where the family looks for them
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return state

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return reduced(self.family.Request, self.__getstate__())
