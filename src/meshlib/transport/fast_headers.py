"""HeaderBlocks: a client's headers with those of one call, merged, checked and joined as they go onto the wire, and kept."""

from __future__ import annotations

from typing import Any

from meshlib.transport.request_head import RefusedRequest, header_block

__all__ = ["HeaderBlocks", "Lines"]

Triple = tuple[bytes, bytes, bytes]
"""A name as written, in lower case, and the value: what Headers keeps."""

_SPECIAL = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
"""With one of these the family decides what is sent beside it, or a wire has to do more than write."""
_KEPT = 128
_LARGEST = 4096


class Lines:
    """`block` is what goes between Host and what the body needs; `names` are the lower-case names in it; `typed`: it has a
    Content-Type; `repeatable`: it has an Idempotency-Key."""

    __slots__ = ("block", "names", "repeatable", "typed")

    def __init__(self, fields: list[Triple], after: Lines | None = None) -> None:
        """`after` others, none of which has a name of these. Raises RefusedRequest for what must not be written, or not so
        simply."""
        names = frozenset([lower for _, lower, _ in fields])
        if not names.isdisjoint(_SPECIAL):
            raise RefusedRequest("not only to be written")
        if b"connection" in names:
            for _, lower, value in fields:
                if lower == b"connection" and value.lower() != b"keep-alive":
                    raise RefusedRequest("not only to be written")
        block = header_block([(name, value) for name, _, value in fields])
        self.block: bytes = block if after is None else after.block + block
        self.names: frozenset[bytes] = names if after is None else after.names | names
        self.typed: bool = b"content-type" in self.names
        self.repeatable: bool = b"idempotency-key" in self.names


class HeaderBlocks:
    """For one state of a client's headers (`Headers._list`). Thread-safe."""

    __slots__ = ("_client", "_found", "_headers", "plain")

    def __init__(self, client: list[Triple], headers: type[Any]) -> None:
        self._client = client
        self._headers = headers
        self._found: dict[Any, Lines | None] = {}
        self.plain: Lines | None = _lines(client)
        """Without any of the call's own."""

    def of(self, given: Any) -> Lines | None:
        """With a call's own headers; None when the family has to merge them."""
        kind = type(given)
        if kind is dict:
            key: Any = tuple(given.items())
        elif kind is self._headers:
            key = tuple(given._list)
        else:
            return None
        try:
            return self._found[key]
        except KeyError:
            pass
        except TypeError:  # a value that is neither str nor bytes, and not even hashable
            return None
        triples = _triples(key) if kind is dict else list(key)
        lines = None if triples is None else self._merged(triples)
        if lines is None or len(lines.block) <= _LARGEST:
            if len(self._found) >= _KEPT:
                self._found.clear()
            self._found[key] = lines
        return lines

    def _merged(self, given: list[Triple]) -> Lines | None:
        """As `Headers.update`: what is given replaces all of the same name, and comes last."""
        plain = self.plain
        names = {lower for _, lower, _ in given}
        if plain is not None and plain.names.isdisjoint(names):
            return _lines(given, plain)
        return _lines([triple for triple in self._client if triple[1] not in names] + given)


def _lines(fields: list[Triple], after: Lines | None = None) -> Lines | None:
    try:
        return Lines(fields, after)
    except RefusedRequest:
        return None  # the family builds it, and the wire refuses it when it is sent


def _triples(items: tuple[Any, ...]) -> list[Triple] | None:
    found = []
    for name, value in items:
        if type(name) is not str or type(value) is not str or not (name.isascii() and value.isascii()):
            return None
        raw = name.encode("ascii")
        found.append((raw, raw.lower(), value.encode("ascii")))
    return found
