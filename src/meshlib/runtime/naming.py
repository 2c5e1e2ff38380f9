"""Naming: where a logical name's endpoints come from when no policy says so."""

from __future__ import annotations

from ipaddress import ip_address

from meshlib.core.uri import URI, ServiceName, parse
from meshlib.errors import ConfigError
from meshlib.policy.spec import MeshOptions

__all__ = ["MESH_DOMAINS", "is_mesh_name", "source_of"]

MESH_DOMAINS = ("svc", "cluster.local", "internal", "consul")
"""Domains that only clusters and private networks use; their names are services wherever the process runs."""


def source_of(name: ServiceName, mesh: MeshOptions, search: tuple[str, ...] = ()) -> URI | None:
    """The discovery URI of a service nobody configured; None means: pass the host through by name.

    ConfigError when `[mesh] unknown = "refuse"`.
    """
    known = is_mesh_name(name.host, mesh, search)
    if mesh.discovery is not None and known:
        return parse(mesh.discovery)
    match mesh.unknown:
        case "refuse":
            raise ConfigError(
                f'{name.key!r} is not among the configured services, and [mesh] unknown is "refuse": add [services.{name.key}] '
                'or choose "auto", "dns" or "passthrough"'
            )
        case "passthrough":
            return None
        case "dns":
            return _dns(name) if not _literal(name.host) else None
    return _dns(name) if known else None


def is_mesh_name(host: str, mesh: MeshOptions, search: tuple[str, ...] = ()) -> bool:
    """Whether a host is a service by its form: a single label, or inside a mesh domain. Never an IP literal."""
    if _literal(host):
        return False
    if "." not in host:
        return True
    return any(
        host == domain or host.endswith(f".{domain}")
        for domain in (*(domain.lower().strip(".") for domain in mesh.domains), *search, *MESH_DOMAINS)
    )


def _dns(name: ServiceName) -> URI:
    return URI("dns", ((name.host, name.port),))


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
