"""Options: frozen, keyword-only groups of settings whose bounds and reasons stand beside their defaults.

A field's type carries everything that is known about it: `Annotated[float, Meta(gt=0, le=1, description="why")]`.
`policy.defaults` renders the one table of all defaults from these annotations; `policy.parse` validates
documents field by field with them; building a group in code runs the same checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, get_origin

import msgspec
from msgspec import Meta

from meshlib.core.expected import alternatives, expected, shown
from meshlib.errors import ConfigError

__all__ = ["Options", "Problem", "Seconds", "Span", "check", "construct", "missing", "seconds", "unknown"]

Seconds = Annotated[float, Meta(ge=0.0, le=1e9, extra={"unit": "s"})]
"""A duration. Documents may also write "250ms", "2s", "1m", "1h"."""

Span = Annotated[float, Meta(ge=0.001, le=1e9, extra={"unit": "s"})]
"""A duration that something is divided by or doubled from, such as a window: at least a millisecond."""

Problem = tuple[tuple[str, ...], str]
"""Where (a path of keys) and what is wrong there."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: Any) -> Any:
    """A duration text as float seconds; anything else comes back as it was, for the type check to judge."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    for unit in ("us", "ms", "s", "m", "h"):
        number = text.removesuffix(unit)
        if number != text:
            try:
                return float(number) * _UNITS[unit]
            except ValueError:
                continue
    return value


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all option groups. `group` is the word that names the group in documents and errors.

    Building one in code accepts what a document may hold ("250ms" for seconds, a mapping for a group inside
    the group) and raises ConfigError with every problem at once.
    """

    group: ClassVar[str] = "options"

    def __post_init__(self) -> None:
        given = msgspec.structs.asdict(self)
        converted, found = construct(type(self), given)
        if found:
            texts = [f"{'.'.join((self.group, *path))}: {text}" for path, text in found]
            raise ConfigError("; ".join(texts), problems=texts)
        for name, value in converted.items():
            if value is not given[name]:
                msgspec.structs.force_setattr(self, name, value)

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        """What a type cannot say: bounds between fields, texts of a certain form.

        `values` are converted and may be only some of the fields: those that are missing are not judged.
        """
        return []


class _Field:
    """What `construct` needs of a field, worked out once per class: resolving annotations is slow."""

    __slots__ = ("duration", "nested", "nullable", "required", "type")

    def __init__(self, field: msgspec.structs.FieldInfo) -> None:
        bare = [one.__origin__ if get_origin(one) is Annotated else one for one in alternatives(field.type)]
        self.type = field.type
        self.required = field.required
        self.duration = "unit" in repr(field.type)
        self.nullable = NoneType in bare and bool not in bare
        self.nested: type[Options] | None = next(
            (one for one in bare if isinstance(one, type) and issubclass(one, Options)), None
        )


@cache
def _fields(cls: type[Options]) -> dict[str, _Field]:
    return {field.name: _Field(field) for field in msgspec.structs.fields(cls)}


def check(cls: type[Options], values: Mapping[str, Any]) -> list[Problem]:
    """Every problem of `values` as fields of `cls`: unknown keys, wrong types, values out of bounds."""
    return construct(cls, values)[1]


def construct(cls: type[Options], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The converted fields of `cls` from plain `values`, and every problem met on the way.

    `false` stands for None where a field can be None, because TOML has no null; `true` for a group inside the
    group means its defaults.
    """
    fields = _fields(cls)
    converted: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        field = fields.get(name)
        if field is None:
            problems.append(((name,), unknown(name, list(fields))))
            continue
        if field.nested is not None and (value is True or isinstance(value, Mapping)):
            value, found = _built(field.nested, {} if value is True else value)
            problems += [((name, *path), text) for path, text in found]
            if not found:
                converted[name] = value
            continue
        try:
            converted[name] = msgspec.convert(_prepared(value, field), field.type)
        except (msgspec.ValidationError, RecursionError, OverflowError):
            problems.append(((name,), f"expected {expected(field.type)}, got {shown(value)}"))
    return converted, problems + cls.conflicts(converted)


def missing(cls: type[Options], values: Mapping[str, Any]) -> list[Problem]:
    """The keys of `cls` that have no default and are not in `values`."""
    return [
        ((name,), f"is missing: expected {expected(field.type)}")
        for name, field in _fields(cls).items()
        if field.required and name not in values
    ]


def unknown(name: object, known: Iterable[str]) -> str:
    """What is said of a key that nobody knows: the known ones, and the nearest of them."""
    names = sorted(known)
    close = get_close_matches(name, names, 1) if isinstance(name, str) else []
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown key {shown(name)}: known are {', '.join(names)}{hint}"


def _built(cls: type[Options], values: Mapping[str, Any]) -> tuple[Options | None, list[Problem]]:
    inner, problems = construct(cls, values)
    problems += missing(cls, values)
    return (None if problems else cls(**inner)), problems


def _prepared(value: Any, field: _Field) -> Any:
    if value is False and field.nullable:
        return None
    return seconds(value) if field.duration else value
