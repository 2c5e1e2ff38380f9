"""The hosts file and the names that need no look-up at all."""

from __future__ import annotations

import sys
from ipaddress import ip_address

__all__ = ["HOSTS_PATH", "is_literal", "is_localhost", "parse_hosts"]

HOSTS_PATH = r"C:\Windows\System32\drivers\etc\hosts" if sys.platform == "win32" else "/etc/hosts"


def is_literal(name: str) -> bool:
    """True for an IPv4 or IPv6 address, zone index included (`fe80::1%eth0`)."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_localhost(name: str) -> bool:
    """RFC 6761 section 6.3: `localhost` and every name below it mean this machine and are never asked of DNS."""
    bare = name.lower().removesuffix(".")
    return bare == "localhost" or bare.endswith(".localhost")


def parse_hosts(content: bytes) -> dict[str, tuple[str, ...]]:
    """Addresses by lower-case name, in file order; lines that make no sense are passed over, as libc does."""
    found: dict[str, list[str]] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2 or not is_literal(fields[0]):
            continue
        for name in fields[1:]:
            addresses = found.setdefault(name.lower().removesuffix("."), [])
            if fields[0] not in addresses:
                addresses.append(fields[0])
    return {name: tuple(addresses) for name, addresses in found.items()}
