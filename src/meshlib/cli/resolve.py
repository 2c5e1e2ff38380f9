"""`meshlib resolve URI`: what a registry says, as the mesh would hear it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshlib.cli.options import seconds

if TYPE_CHECKING:
    from meshlib.cli.watch import Watch
    from meshlib.core.snapshot import EndpointSet

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "resolve",
        help="the endpoints that a discovery URI or a service's name stands for",
        description="Prints the endpoints that a discovery URI (dns://orders:8080, file:///etc/orders.toml, "
        "static://10.0.0.1:8080) or a service's name stands for.",
    )
    parser.add_argument("uri", metavar="URI", help="a discovery URI, or a service's name or URL")
    parser.add_argument(
        "--config", metavar="FILE", help="a meshlib document, for services' names (default: MESHLIB_CONFIG)"
    )
    parser.add_argument("--watch", action="store_true", help="go on and print every change")
    parser.add_argument("--json", action="store_true", help="one JSON document a set")
    parser.add_argument(
        "--timeout", type=seconds, default=5.0, help="how long an answer may take (default: 5 s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0: an answer, also an empty one; 1: none in time."""
    from meshlib.cli.watch import Watch, target_of

    target = target_of(options.uri, options.config)
    if target is None:
        print(
            f"{options.uri} is no service of the mesh: it is called by name, and resolved when a connection is made"
        )
        return 0
    with Watch(target) as watch:
        found = watch.first(options.timeout)
        if found is None:
            problem = watch.problem or f"no answer from {target.uri.text} within {options.timeout:g} s"
            sys.stderr.write(f"meshlib: {problem}\n")
            return 1
        _print(found, watch, options.json)
        if options.watch:
            _follow(watch, found, options.json)
    return 0


def _follow(watch: Watch, last: EndpointSet, as_json: bool) -> None:
    """Print what changes, until Ctrl-C."""
    problem = watch.problem
    while True:
        time.sleep(0.1)
        if watch.problem != problem:
            problem = watch.problem
            sys.stderr.write(f"meshlib: {problem or 'discovery works again'}\n")
        found = watch.latest
        if found is not None and found.endpoints != last.endpoints:
            last = found
            _print(found, watch, as_json)


def _print(found: EndpointSet, watch: Watch, as_json: bool) -> None:
    lines = [json.dumps(_facts(found, watch))] if as_json else list(_text(found, watch))
    print("\n".join(lines), flush=True)


def _facts(found: EndpointSet, watch: Watch) -> dict[str, Any]:
    return {
        "source": found.source,
        "version": found.version,
        "age": watch.age(found),
        "ttl": watch.ttl,
        "answered_by": watch.answered_by,
        "next_look": watch.next_look,
        "endpoints": [
            {
                "address": endpoint.address,
                "zone": endpoint.zone,
                "weight": endpoint.weight,
                "priority": endpoint.priority,
                "labels": dict(endpoint.labels),
            }
            for endpoint in found.endpoints
        ],
    }


def _text(found: EndpointSet, watch: Watch) -> Iterator[str]:
    count = len(found)
    yield f"{found.source}: {count} endpoint{'' if count == 1 else 's'}{_when(found, watch)}"
    width = max((len(endpoint.address) for endpoint in found.endpoints), default=0)
    for endpoint in found.endpoints:
        facts = [f"weight {endpoint.weight:g}", f"priority {endpoint.priority}"]
        if endpoint.zone:
            facts.append(f"zone {endpoint.zone}")
        facts += [f"{key}={value}" for key, value in endpoint.labels.items()]
        yield f"  {endpoint.address:<{width}}  {'  '.join(facts)}"


def _when(found: EndpointSet, watch: Watch) -> str:
    parts = [f"{watch.age(found):.1f} s old"]
    if watch.answered_by:
        parts.append(f"answered by {watch.answered_by}")
    if watch.ttl is not None:
        parts.append(f"TTL {watch.ttl:g} s")
    if watch.next_look is not None:
        parts.append(f"looked at again in {watch.next_look:.1f} s")
    return f" ({', '.join(parts)})"
