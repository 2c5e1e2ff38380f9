"""`meshlib explain URL`: what would happen to a request, and why."""

from __future__ import annotations

import argparse
import json
from typing import Any

from meshlib.cli.options import add_mesh, add_request, headers_of, known_endpoints, mesh_of, seconds, url_of

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "explain",
        help="which service, route, endpoints and policy a request gets, and why",
        description="Says what would happen to a request, and why. Asks discovery for the endpoints, sends no request.",
    )
    add_request(parser)
    add_mesh(parser)
    parser.add_argument("--offline", action="store_true", help="do not ask discovery")
    parser.add_argument(
        "--wait", type=seconds, default=3.0, help="how long discovery may take (default: 3 s)"
    )
    parser.add_argument("--json", action="store_true", help="the facts as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0; 1 when the service would be refused."""
    from meshlib.core.uri import service_key
    from meshlib.errors import ConfigError

    url = url_of(options.url)
    headers = dict(headers_of(options.header))
    name = service_key(url)
    with mesh_of(options, url, telemetry=False) as mesh:
        if not options.offline:
            try:
                known_endpoints(mesh.runtime.service(name), options.wait)
            except ConfigError:
                # Refused, or a source that nobody knows: the explanation says so, or raises the same.
                mesh.explain(url)
        explanation = mesh.explain(url, options.method or "GET", "/", headers)
    print(json.dumps(explanation.facts, indent=2) if options.json else explanation)
    return 1 if explanation.facts["service"]["treatment"] == "refused" else 0
