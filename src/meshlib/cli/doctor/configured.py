"""Policy and registries: is the document valid, and does every source that it names answer?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from meshlib.cli.doctor.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from meshlib.policy import Document

__all__ = ["check_policy", "check_registries"]

_PATIENCE = 3.0  # seconds a registry may take
_OWN_VARIABLES = ("MESHLIB_CONFIG", "MESHLIB_DISCOVERY", "MESHLIB_POLICY_SERVER")


def check_policy(config: str | None) -> Iterator[Finding]:
    """The document's own problems, what it asks of this version in vain, and variables that nobody reads."""
    from meshlib.errors import ConfigError
    from meshlib.policy import unsupported
    from meshlib.policy.locate import path_text

    for name in sorted(os.environ):
        if name.startswith("MESHLIB_") and name not in _OWN_VARIABLES:
            yield warn(
                "environment", f"{name} is set, but nobody reads it", f"known are {', '.join(_OWN_VARIABLES)}"
            )
    path = config or os.environ.get("MESHLIB_CONFIG")
    if not path:
        yield ok("policy", "no document: defaults (give one with --config or MESHLIB_CONFIG)")
        return
    try:
        document = _document(path)
    except ConfigError as error:
        for problem in error.problems:
            yield fail("policy", problem, "correct the document; until then Mesh(...) raises ConfigError")
        return
    services = len(document.services)
    yield ok("policy", f"{path} is valid: {services} service{'' if services == 1 else 's'}")
    for key, text in unsupported(document):
        yield warn("policy", f"{path_text(key)} has no effect", text)


def check_registries(config: str | None) -> Iterator[Finding]:
    """Every discovery URI of the document and of the environment, asked once."""
    from meshlib.errors import ConfigError

    path = config or os.environ.get("MESHLIB_CONFIG")
    sources: dict[str, str] = {}
    if path:
        try:
            sources = _sources(_document(path))
        except ConfigError:
            return  # said by check_policy
    general = os.environ.get("MESHLIB_DISCOVERY")
    if general:
        sources.setdefault("MESHLIB_DISCOVERY", general)
    if not sources:
        yield ok(
            "registry", "no source is named: names of a single label and of mesh domains are looked up in DNS"
        )
        yield from _name_servers()
    for service, uri in sources.items():
        yield _asked(service, uri)


def _document(path: str) -> Document:
    from meshlib.runtime.build import load_file

    return load_file(Path(path)).document


def _sources(document: Document) -> dict[str, str]:
    found = {
        key: str(table.layer["discovery"])
        for key, table in document.services.items()
        if table.layer.get("discovery")
    }
    for name, uri in (
        ("[mesh]", document.mesh.discovery),
        ("[defaults]", document.defaults.layer.get("discovery")),
    ):
        if uri:
            found[name] = str(uri)
    return found


def _asked(service: str, text: str) -> Finding:
    """Ask one source, as the mesh would."""
    from meshlib.cli.watch import Watch
    from meshlib.core.uri import parse
    from meshlib.discovery import Target
    from meshlib.errors import ConfigError

    named = service if not service.startswith(("[", "MESHLIB_")) else ""
    subject = f"registry {service}"
    try:
        uri = parse(text)
        if not named and not uri.authorities and uri.scheme != "file":
            return ok(subject, f"{uri.text} is asked for each service by its name")
        with Watch(Target(uri=uri, service=named)) as watch:
            found = watch.first(_PATIENCE)
    except ConfigError as error:
        return fail(subject, error.message, "correct the discovery URI")
    if found is None:
        problem = watch.problem or f"{uri.text} did not answer within {_PATIENCE:g} s"
        return fail(subject, problem, "calls to it fail with NoEndpointError; `meshlib resolve` shows it too")
    if not found.endpoints:
        return warn(
            subject,
            f"{uri.text} lists no endpoint",
            "calls to it fail with NoEndpointError until it lists one",
        )
    return ok(subject, f"{uri.text} lists {len(found)} endpoint{'' if len(found) == 1 else 's'}")


def _name_servers() -> Iterator[Finding]:
    from meshlib.world.resolvconf import parse_resolv_conf

    try:
        found = parse_resolv_conf(Path("/etc/resolv.conf").read_bytes())
    except OSError:
        yield warn(
            "registry",
            "/etc/resolv.conf cannot be read",
            "name servers are then those of the system resolver",
        )
        return
    servers = ", ".join(getattr(one, "host", str(one)) for one in found.servers) or "none"
    search = ", ".join(found.search) or "none"
    yield ok("registry", f"name servers {servers}; search list {search}")
