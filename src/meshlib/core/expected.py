"""Expected: a field's type in words, for error messages and for the table of defaults.

"expected a whole number from 1 to 100, got 0" comes from `Annotated[int, Meta(ge=1, le=100)]`, so that what a message
asks for and what the check lets pass cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from reprlib import Repr
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct

from meshlib.core.uri import redact_url

__all__ = ["alternatives", "expected", "metas", "shown"]

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Any: "any value",
}
_LIMITS = Repr()
_LIMITS.maxlevel = 2
_LIMITS.maxstring = _LIMITS.maxother = 60
_LIMITS.maxlong = 40


def alternatives(kind: Any) -> list[Any]:
    """The members of a union, also of an annotated one; a list of one for any other type."""
    bare = kind.__origin__ if get_origin(kind) is Annotated else kind
    if get_origin(bare) in (Union, UnionType):
        return [found for one in get_args(bare) for found in alternatives(one)]
    return [kind]


def metas(kind: Any) -> list[Meta]:
    """Every Meta that annotates the type or a member of it, the outermost first."""
    found: list[Meta] = []
    if get_origin(kind) is Annotated:
        found += [one for one in reversed(kind.__metadata__) if isinstance(one, Meta)]
        kind = kind.__origin__
    if get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            found += metas(one)
    return found


def expected(kind: Any) -> str:
    """What a value of that type looks like in a document: `a whole number from 1 to 100, or false`."""
    words: list[str] = []
    for one in alternatives(kind):
        word = _single(one)
        if word not in words:
            words.append(word)
    # What switches a thing off is named last, however the union was written.
    words.sort(key=lambda word: word == "false")
    return ", or ".join(words)


def shown(value: Any) -> str:
    """A value for an error message: short however large or deep it is, as documents write it, URLs without
    secrets."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        value = redact_url(value) if "://" in value else value
        return _LIMITS.repr(value)
    if isinstance(value, Mapping):
        return f"a table of {len(value)} keys" if len(value) != 1 else "a table of 1 key"
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray):
        return f"a list of {len(value)}"
    if isinstance(value, int | float):
        return _number(value)
    return f"a value of type {type(value).__name__}"


def _number(value: float) -> str:
    # An integer of thousands of digits is refused by `repr` (int max str digits), and nobody wants to read it.
    return (
        f"a number of {value.bit_length()} bits"
        if isinstance(value, int) and abs(value) >= 1 << 64
        else repr(value)
    )


def _single(kind: Any) -> str:
    bounds = metas(kind)
    while get_origin(kind) is Annotated:
        kind = kind.__origin__
    origin = get_origin(kind) or kind
    if origin is NoneType:
        return "false"
    if origin is Literal:
        return " or ".join(shown(value).replace("'", '"') for value in get_args(kind))
    if isinstance(origin, type) and issubclass(origin, Struct | Mapping):
        return "a table of text" if get_args(kind)[1:] == (str,) else "a table"
    if isinstance(origin, type) and issubclass(origin, tuple | list):
        return f"a list of {expected(get_args(kind)[0])}"
    word = _WORDS.get(origin, "a value of another kind")
    if any(meta.extra and "unit" in meta.extra for meta in bounds):
        return f'seconds (a number{_range(bounds)}, or text such as "250ms")'
    return f"{word}{_range(bounds)}"


def _range(bounds: list[Meta]) -> str:
    low = high = ""
    # Inner annotations first, as msgspec applies them: the outermost bound is the one that counts.
    for meta in reversed(bounds):
        if meta.ge is not None:
            low = f" from {_plain(meta.ge)}"
        if meta.gt is not None:
            low = f" above {_plain(meta.gt)}"
        if meta.le is not None:
            high = f" to {_plain(meta.le)}" if low.startswith(" from") else f" up to {_plain(meta.le)}"
        if meta.lt is not None:
            high = f" below {_plain(meta.lt)}"
    return low + high


def _plain(bound: float) -> str:
    return f"{bound:,.0f}" if bound == int(bound) else f"{bound:g}"
