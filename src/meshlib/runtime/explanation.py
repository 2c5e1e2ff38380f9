"""Explanation: the answer of `explain`, `facts` for programs and `str()` for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from meshlib.runtime.origins import DEFAULT

__all__ = ["Explanation"]

_INDENT = " " * 13
_SHOWN = 20  # nodes of a cluster that are written out


class Explanation:
    """Immutable. `facts` holds plain values for JSON; the keys are those of docs/reference/state.md."""

    __slots__ = ("facts",)

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts: dict[str, Any] = dict(facts)

    def __str__(self) -> str:
        return "\n".join([*_text(self.facts), *_defaults(self.facts)])

    @property
    def brief(self) -> str:
        """The text without the values that nobody set."""
        return "\n".join(_text(self.facts))

    def __repr__(self) -> str:
        request, service = self.facts["request"], self.facts["service"]
        return f"<Explanation {request['method']} {request['target']}: {service['treatment']}>"


def _text(facts: Mapping[str, Any]) -> Iterator[str]:
    request, service = facts["request"], facts["service"]
    yield f"{request['method']} {request['target']}"
    yield from _row("service", f"{service['key']} is {service['treatment']}: {service['why']}")
    if service["treatment"] == "refused":
        return
    yield from _row("discovery", _discovery(facts))
    yield from _route(facts)
    for cluster in facts["clusters"]:
        yield from _cluster(service["key"], cluster, _listed(facts))
    yield from _row("now", _now(facts))
    retries = facts["retries"]
    yield from _row("retries", f"{retries['attempts'] - 1} at most, {retries['when']}")
    yield from _policy(facts["policy"])


def _row(label: str, text: str) -> Iterator[str]:
    lines = wrap(text, 105, break_long_words=False, break_on_hyphens=False) or [""]
    yield f"  {label:<11}{lines[0]}"
    yield from (f"{_INDENT}{line}" for line in lines[1:])


def _discovery(facts: Mapping[str, Any]) -> str:
    discovery, called = facts["discovery"], facts["service"]["called"]
    source, age, error = discovery["source"], discovery["age"], discovery["error"]
    if source == "passthrough":
        return "none: the host is resolved when a connection is made"
    if not called:
        return f"{source}, not asked yet: nothing was called, and explain asks nobody"
    known = f"{source}, {'no answer yet' if age is None else f'confirmed {age:.1f} s ago'}"
    return f"{known}; {error}" if error else known


def _route(facts: Mapping[str, Any]) -> Iterator[str]:
    if not facts["routes"]:
        return
    yield from _row("route", facts["route"] or "none matches: the service's own policy applies")
    for route in facts["routes"]:
        mark = {True: "yes", False: "no", None: "-"}[route["matches"]]
        yield f"{_INDENT}{mark:<4}{route['name']}: {route['why']}"


def _listed(facts: Mapping[str, Any]) -> bool:
    """Whether an empty cluster is empty, or only unknown yet."""
    return bool(facts["service"]["called"] or facts["discovery"]["source"].startswith("static:"))


def _cluster(service: str, cluster: Mapping[str, Any], listed: bool) -> Iterator[str]:
    name = f"{service}/{cluster['subset']}" if cluster["subset"] else service
    share = "" if cluster["share"] == 1.0 else f", {cluster['share']:.0%} of the calls"
    nodes = cluster["nodes"]
    count = f"{len(nodes)} endpoint{'s' if len(nodes) != 1 else ''}"
    if not nodes:
        count = "no endpoint" if listed else "endpoints not known before the first call"
    yield from _row("cluster", f"{name}, {cluster['balancer']}{share}: {count}")
    for node in nodes[:_SHOWN]:
        yield f"{_INDENT}{_node(node)}"
    if len(nodes) > _SHOWN:
        yield f"{_INDENT}and {len(nodes) - _SHOWN} more"


def _node(node: Mapping[str, Any]) -> str:
    until = f" for {node['until']:.1f} s" if node["until"] is not None else ""
    parts = [f"{node['address']:<22}{node['state']}{until}"]
    if node["cost"] is not None:
        parts.append(f"cost {node['cost'] * 1000:.1f} ms")
    if node["calls"]:
        times = f"{node['calls']} attempt{'s' if node['calls'] != 1 else ''}"
        parts.append(f"{times}, {node['failures']} failed, {node['in_flight']} in flight")
    if node["zone"]:
        parts.append(f"zone {node['zone']}")
    if node["labels"]:
        parts.append(" ".join(f"{key}={value}" for key, value in node["labels"].items()))
    return ", ".join(parts)


def _now(facts: Mapping[str, Any]) -> str:
    breaker, budget, limit = facts["breaker"], facts["budget"], facts["limit"]
    parts = ["no breaker" if breaker is None else f"breaker {breaker['state']}"]
    if breaker is not None and breaker["until"] is not None:
        parts[0] += f" for {breaker['until']:.1f} s"
    parts.append("no retry budget" if budget is None else f"budget for {budget['balance']:.0f} retries")
    cap = "no limit" if limit["limit"] is None else f"limit {limit['limit']}, {limit['queued']} queued"
    parts.append(f"{limit['used']} in flight ({cap})")
    return "; ".join(parts)


def _policy(policy: Mapping[str, Any]) -> Iterator[str]:
    """What a layer set, line by line."""
    chosen = {path: one for path, one in policy.items() if one["from"] != DEFAULT}
    width = max((len(path) + len(_value(one["value"])) for path, one in chosen.items()), default=0) + 3
    for number, (path, one) in enumerate(chosen.items()):
        setting = f"{path} = {_value(one['value'])}"
        yield f"  {'policy' if number == 0 else '':<11}{setting:<{width}}  from {one['from']}"


def _defaults(facts: Mapping[str, Any]) -> Iterator[str]:
    """The rest, as one paragraph."""
    policy: Mapping[str, Any] = facts.get("policy", {})
    rest = [f"{path}={_value(one['value'])}" for path, one in policy.items() if one["from"] == DEFAULT]
    if rest:
        yield from _row("defaults", ", ".join(rest))


def _value(value: Any) -> str:
    if value is False:
        return "off"
    if value is True:
        return "on"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{'|'.join(map(str, value))}]"
    return str(value)
