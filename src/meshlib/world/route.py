"""Which address families this machine can use."""

from __future__ import annotations

import socket
from collections.abc import Callable

from meshlib.core.io import Family

__all__ = ["families", "has_route", "of_family"]

# Documentation addresses (RFC 5737, RFC 3849): only a default route leads there, and connecting a UDP socket sends
# nothing, it only makes the kernel choose a route and a source address.
_PROBES = {"4": (socket.AF_INET, "192.0.2.1"), "6": (socket.AF_INET6, "2001:db8::1")}


def has_route(family: str) -> bool:
    """True when the kernel has a way out for family "4" or "6". Sends no packet; takes some 20 us."""
    kind, address = _PROBES[family]
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True


def families(family: Family, routed: Callable[[str], bool] = has_route) -> tuple[str, ...]:
    """The families to ask for, best first.

    "auto": those with a route before those without, 4 before 6; the first one that has an address is used alone.
    A family without a route still comes last: a hosts entry or a link-local service may need none.
    """
    if family != "auto":
        return ("4", "6") if family == "all" else (family,)
    if routed("4"):
        return ("4", "6")
    return ("6", "4") if routed("6") else ("4", "6")


def of_family(addresses: tuple[str, ...], family: str) -> tuple[str, ...]:
    """Those of one family ("4" or "6")."""
    return tuple(address for address in addresses if (":" in address) == (family == "6"))
