"""One DNS question to a list of name servers, over dnspython: UDP, TCP when truncated, the next server on trouble.

Every fault of an answer (wrong id, wrong question, bad compression, impossible counts, CNAME loops) ends as a
DiscoveryError, none as another exception, and none waits longer than its share of the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshlib.core.endpoint import address_text
from meshlib.core.io import Server
from meshlib.errors import DiscoveryError

if TYPE_CHECKING:
    from dns.message import QueryMessage

__all__ = ["TOTAL", "TRY", "Records", "ask", "load", "share"]

TOTAL = 5.0
"""Seconds one look-up may take, all names and servers together."""

TRY = 2.0
"""Seconds at most for one try at one server."""


class Records:
    """What a server said: the records of the asked type, how long that holds, and the additional section's addresses.

    No records and no exception means: the server knows that there are none, for `ttl` seconds (RFC 2308).
    """

    __slots__ = ("additional", "records", "ttl")

    def __init__(
        self, records: Sequence[Any], ttl: float, additional: dict[str, list[tuple[str, float]]]
    ) -> None:
        self.records: Sequence[Any] = records
        self.ttl: float = ttl
        self.additional: dict[str, list[tuple[str, float]]] = additional


def share(servers: int, total: float = TOTAL) -> float:
    """Seconds for one try, so that a dead server leaves room for the others and for one repetition."""
    return min(TRY, total / (servers + 1))


async def ask(name: str, kind: str, servers: Sequence[Server], until: float) -> Records:
    """The records of an absolute name; DiscoveryError when no server gives a usable answer by `until` (monotonic).

    Servers are asked in their order; those that kept silent are asked once more (UDP loses packets).
    """
    if not servers:
        raise DiscoveryError("there is no name server to ask")
    _require_name(name)
    limit = share(len(servers))
    troubles: dict[str, str] = {}
    silent = list(servers)
    for _ in range(2):
        asked, silent = silent, []
        for server in asked:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return await _exchange(name, kind, server, min(limit, left))
            except TimeoutError:
                silent.append(server)
                troubles[_text(server)] = f"did not answer within {min(limit, left):.2g} s"
            except DiscoveryError as error:
                troubles[_text(server)] = str(error)
    said = "; ".join(f"{server} {trouble}" for server, trouble in troubles.items())
    raise DiscoveryError(f"no name server answered for {name} {kind}: {said or 'no time was left to ask'}")


def load() -> None:
    """Import what asking needs (50 to 100 ms), so that a thread can do it instead of the loop."""
    import dns.asyncbackend
    import dns.asyncquery
    import dns.resolver

    dns.asyncbackend.get_backend("asyncio")


def _require_name(name: str) -> None:
    import dns.exception
    import dns.name

    try:
        if len(dns.name.from_text(name)) > 1:
            return
        reason = "it is empty"
    except (dns.exception.DNSException, UnicodeError) as error:
        reason = str(error)
    raise DiscoveryError(f"{name!r} is no DNS name: {reason}")


def _text(server: Server) -> str:
    return address_text(server.host, server.port)


async def _exchange(name: str, kind: str, server: Server, limit: float) -> Records:
    import dns.asyncbackend
    import dns.asyncquery
    import dns.exception
    import dns.message

    try:
        query = dns.message.make_query(name, kind, use_edns=0, payload=1232)  # 1232: dnsflagday.net/2020
        async with asyncio.timeout(limit):
            reply, _ = await dns.asyncquery.udp_with_fallback(
                query,
                server.host,
                timeout=limit,
                port=server.port,
                # Datagrams that are no answer to this question are passed over, not believed: the true one may follow.
                ignore_unexpected=True,
                ignore_errors=True,
                backend=dns.asyncbackend.get_backend("asyncio"),
            )
        return _understood(reply, kind)
    except (TimeoutError, dns.exception.Timeout):
        raise TimeoutError from None
    except DiscoveryError:
        raise
    except Exception as error:
        # Whatever a parser trips over in a hostile answer is that server's fault, never the caller's.
        raise DiscoveryError(f"gave no usable answer ({type(error).__name__}: {error})") from error


def _understood(reply: Any, kind: str) -> Records:
    import dns.message
    import dns.rcode

    if not isinstance(reply, dns.message.QueryMessage):
        raise DiscoveryError("answered with something that is no answer")
    code = reply.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise DiscoveryError(f"answered {dns.rcode.to_text(code)}")
    if not reply.question:
        raise DiscoveryError("answered without repeating the question")
    chain = reply.resolve_chaining()  # raises on loops and on records beside NXDOMAIN
    return Records(
        tuple(chain.answer or ()), float(chain.minimum_ttl), _additional(reply) if kind == "SRV" else {}
    )


def _additional(reply: QueryMessage) -> dict[str, list[tuple[str, float]]]:
    """Addresses with their TTL, by lower-case owner name."""
    import dns.rdatatype

    found: dict[str, list[tuple[str, float]]] = {}
    for records in reply.additional:
        if records.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            owner = records.name.to_text(omit_final_dot=True).lower()
            found.setdefault(owner, []).extend((record.address, float(records.ttl)) for record in records)
    return found
