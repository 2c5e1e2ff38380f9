"""Merge: defaults < service < route < call, key by key inside the groups, and the origin of every key.

`false` turns a group off; a later layer that writes a table or `true` turns it on again, with what earlier layers had
set and its own keys over it. A balancer of another name starts without the keys of the former one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from meshlib.balancing import BALANCERS
from meshlib.core.options import Problem, construct
from meshlib.errors import ConfigError
from meshlib.policy.spec import (
    GROUPS,
    NOTHING,
    BalancerOptions,
    Document,
    Layer,
    RoutePolicy,
    ServicePolicy,
    ServiceTable,
)

__all__ = ["Origins", "balancer_problems", "merge", "merged"]

Origins = Mapping[str, str]
"""Key path to the layer that set it: "retry.attempts" to "services.orders". A key that is missing was set by none."""

_NOBODY = ServiceTable()


def merge(
    document: Document, service: str, route: RoutePolicy | None = None, call: Layer = NOTHING
) -> tuple[ServicePolicy, Origins]:
    """The policy that holds for calls to `service` (on a route, with a call's own keys), and where each key
    comes from.

    Never fails for a parsed document; ConfigError when the call's own layer does not fit.
    """
    policy, origins, problems = merged(document, service, route, call)
    if policy is None:
        texts = [f"{'.'.join(path)}: {text}" for path, text in problems]
        raise ConfigError("; ".join(texts), problems=texts)
    return policy, origins


def merged(
    document: Document, service: str, route: RoutePolicy | None, call: Layer
) -> tuple[ServicePolicy | None, Origins, list[Problem]]:
    """The same with its problems as values, for the parser, which collects them."""
    table = document.services.get(service, _NOBODY)
    layers = [("defaults", document.defaults.layer), (f"services.{service}", table.layer)]
    if route is not None:
        layers.append((f"services.{service}.routes.{route.name}", route.layer))
    layers.append(("call", call))
    values, origins = _merge(layers)
    problems: list[Problem] = []
    if "balancer" in values:
        name = values["balancer"].pop("name", BalancerOptions().name)
        problems += [
            (("balancer", *path), text) for path, text in balancer_problems(name, values["balancer"])
        ]
        values["balancer"] = {"name": name, "options": values["balancer"]}
    fields, found = construct(ServicePolicy, values)
    problems += found
    tls = fields.get("tls")
    if tls is not None:
        problems += [(("tls", *path), text) for path, text in tls.incomplete()]
    if problems:
        return None, origins, problems
    fields["subsets"] = {**document.defaults.subsets, **table.subsets}
    fields["routes"] = table.routes or document.defaults.routes
    return ServicePolicy(**fields), origins, []


def balancer_problems(name: str, options: Mapping[str, Any]) -> list[Problem]:
    """Whether there is such a balancer, and what it thinks of its keys."""
    try:
        kind = BALANCERS.get(name)
    except ConfigError as error:
        return [(("name",), error.message)]
    except (ImportError, AttributeError) as error:
        return [(("name",), f"the balancer {name!r} cannot be loaded: {error}")]
    return construct(kind.options, options)[1]


def _merge(layers: Iterable[tuple[str, Layer]]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    off: set[str] = set()
    for origin, layer in layers:
        for key, value in layer.items():
            if key == "balancer":
                _restart(values, origins, value)
            if key in GROUPS and isinstance(value, bool):
                (off.discard if value else off.add)(key)
                values.setdefault(key, {})
                origins[key] = origin
            elif isinstance(value, Mapping):
                if key in off:
                    off.discard(key)
                    origins[key] = origin
                _fold(values.setdefault(key, {}), value, key, origin, origins)
            else:
                values[key] = value
                origins[key] = origin
    values.update(dict.fromkeys(off))
    return values, origins


def _restart(values: dict[str, Any], origins: dict[str, str], balancer: Mapping[str, Any]) -> None:
    former = values.get("balancer", {}).get("name", BalancerOptions().name)
    if balancer.get("name", former) != former:
        values["balancer"] = {}
        _forget(origins, "balancer")


def _fold(
    base: dict[str, Any], over: Mapping[str, Any], prefix: str, origin: str, origins: dict[str, str]
) -> None:
    for key, value in over.items():
        path = f"{prefix}.{key}"
        present = base.get(key)
        if value is True and isinstance(present, Mapping):
            continue  # on, as it is already
        if isinstance(value, Mapping):
            inner = dict(present) if isinstance(present, Mapping) else {}
            _fold(inner, value, path, origin, origins)
            base[key] = inner
            origins.pop(path, None)
        else:
            _forget(origins, path)
            base[key] = value
            origins[path] = origin


def _forget(origins: dict[str, str], prefix: str) -> None:
    for path in [path for path in origins if path == prefix or path.startswith(prefix + ".")]:
        del origins[path]
