"""`meshlib ca init` and `meshlib ca issue SERVICE`."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["add"]

_LOCAL = ("localhost", "127.0.0.1", "::1")


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "ca",
        help="a throw-away certificate authority, to try mutual TLS",
        description="Makes a throw-away certificate authority and certificates for services. For trying and for tests: the "
        "authority's key lies in a file, and nothing can be revoked.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make the authority")
    _add_folder(init)
    init.add_argument(
        "--trust-domain", default="mesh.internal", metavar="NAME", help="(default: mesh.internal)"
    )
    init.add_argument("--days", type=_days, default=30.0, help="how long it is valid (default: 30)")
    init.add_argument("--force", action="store_true", help="replace the one that is there")
    init.set_defaults(run=_init)
    issue = actions.add_parser("issue", help="make a certificate for a service, or renew it")
    issue.add_argument("service", metavar="SERVICE", help="such as orders: spiffe://<trust domain>/orders")
    _add_folder(issue)
    issue.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="a further DNS name or address; may be repeated",
    )
    issue.add_argument(
        "--days", type=_days, default=1.0, help="how long it is valid (default: 1; 0.01 to see it rotate)"
    )
    issue.set_defaults(run=_issue)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", default="mesh-ca", metavar="DIR", help="where the files lie (default: mesh-ca)"
    )


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0.0005 <= days <= 3650:
        raise argparse.ArgumentTypeError(f"expected days from 0.0005 to 3650, got {text!r}")
    return days


def _init(options: argparse.Namespace) -> int:
    """0."""
    from meshlib.cli.ca.folder import Folder
    from meshlib.security.authority import Authority

    folder = Folder(options.folder)
    authority = Authority.new(options.trust_domain, datetime.now(UTC), timedelta(days=options.days))
    folder.keep(authority, force=options.force)
    print(f"{folder.ca}: a throw-away authority for the trust domain {authority.trust_domain}")
    print(f"Its key lies beside it, readable by you only. Next: meshlib ca issue orders{_again(options)}")
    return 0


def _issue(options: argparse.Namespace) -> int:
    """0."""
    from meshlib.cli.ca.folder import Folder

    folder = Folder(options.folder)
    authority = folder.authority()
    names = dict.fromkeys([options.service, *options.name, *_LOCAL])
    if "/" in options.service:
        del names[options.service]
    issued = authority.issue(options.service, names, datetime.now(UTC), timedelta(days=options.days))
    certificate, key = folder.put(options.service, issued)
    print(
        f"{certificate}: {issued.spiffe_id}, also {', '.join(names)}; until {issued.expires:%Y-%m-%d %H:%M} UTC"
    )
    print(f"\nThe process that is {options.service} writes into its meshlib.toml:\n")
    ca, cert, pem = (json.dumps(str(path)) for path in (folder.ca, certificate, key))
    print(f"[defaults]\ntls = {{ca = {ca}, cert = {cert}, key = {pem}}}")
    print("\nWhoever calls it writes the same with its own certificate, and:\n")
    service = options.service.rpartition("/")[2]
    print(f'[services.{service}]\ntls = {{mode = "strict", spiffe_ids = ["{issued.spiffe_id}"]}}')
    return 0


def _again(options: argparse.Namespace) -> str:
    return "" if options.folder == "mesh-ca" else f" --folder {options.folder}"
