"""resolv.conf: which servers to ask and which names to try."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import msgspec

from meshlib.core.io import Server
from meshlib.errors import DiscoveryError

__all__ = ["RESOLV_CONF", "ResolvConf", "candidates", "parse_resolv_conf", "search_domains"]

RESOLV_CONF = "/etc/resolv.conf"


class ResolvConf(msgspec.Struct, frozen=True, kw_only=True):
    """Servers in their order, search domains, and how many dots a name needs to be tried as it is first."""

    servers: tuple[Server, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1


def parse_resolv_conf(content: bytes) -> ResolvConf:
    """Read with dnspython's parser; DiscoveryError when it names no usable server."""
    import dns.exception
    import dns.resolver

    parsed = dns.resolver.Resolver(configure=False)
    try:
        parsed.read_resolv_conf(StringIO(content.decode("utf-8", "replace")))
        servers = tuple(Server(str(address)) for address in parsed.nameservers)
    except dns.resolver.NoResolverConfiguration as error:
        raise DiscoveryError("resolv.conf names no name server") from error
    except (dns.exception.DNSException, ValueError) as error:
        raise DiscoveryError(f"resolv.conf makes no sense: {error}") from error
    search = list(parsed.search) or [parsed.domain]
    texts = tuple(name.to_text(omit_final_dot=True) for name in search if len(name) > 1)
    return ResolvConf(servers=servers, search=texts, ndots=1 if parsed.ndots is None else parsed.ndots)


def search_domains(path: str = RESOLV_CONF) -> tuple[str, ...]:
    """The search list alone, read on the calling thread; empty when the file cannot be read.

    The last `search` or `domain` line wins (resolv.conf(5)). Read by hand, because dnspython takes up to 100 ms to import.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file.read(1 << 20).splitlines()]
    except OSError:
        return ()
    found: list[str] = []
    for words in lines:
        if words[:1] == ["search"]:
            found = words[1:]
        elif words[:1] == ["domain"]:
            found = words[1:2]
    return tuple(domain.lower().strip(".") for domain in found if domain.strip("."))


def candidates(name: str, search: Sequence[str], ndots: int) -> tuple[str, ...]:
    """The absolute names to try for `name`, in order (resolv.conf(5)): a final dot switches the search list off,
    `ndots` dots or more try the name as it is first."""
    if name.endswith("."):
        return (name,)
    longer = tuple(f"{name}.{domain}." for domain in search)
    return (f"{name}.", *longer) if name.count(".") >= ndots else (*longer, f"{name}.")
