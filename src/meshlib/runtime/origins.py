"""Every value of a policy beside the layer that set it: what `explain` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from meshlib.core.options import Options
from meshlib.policy.merge import Origins
from meshlib.policy.spec import BalancerOptions, ServicePolicy

__all__ = ["DEFAULT", "values_with_origins"]

DEFAULT = "default"
"""The origin of a value that no layer set."""

_ELSEWHERE = ("subsets", "routes", "discovery")  # explained as routes, clusters and discovery


def values_with_origins(policy: ServicePolicy, origins: Origins) -> dict[str, dict[str, Any]]:
    """Key path ("retry.attempts") to `{"value", "from"}`, in the documents' order; a group that is off is one key."""
    return {
        path: {"value": value, "from": origins.get(path, DEFAULT)}
        for name in policy.__struct_fields__
        if name not in _ELSEWHERE
        for path, value in _flat(name, getattr(policy, name))
    }


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BalancerOptions):
        yield f"{path}.name", value.name
        for key, option in value.options.items():
            yield from _flat(f"{path}.{key}", option)
    elif isinstance(value, Options):
        for key in value.__struct_fields__:
            yield from _flat(f"{path}.{key}", getattr(value, key))
    else:
        yield path, _plain(value)


def _plain(value: Any) -> Any:
    """JSON's values as they are; an object given in code (a tenacity wait) by its repr."""
    if value is None or value is False:
        return False  # documents write off as false
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    return repr(value)
