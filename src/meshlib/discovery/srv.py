"""srv://_http._tcp.name: SRV records (RFC 2782) say where, with which priority and weight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from meshlib.core.endpoint import Endpoint
from meshlib.core.io import IO, Answer, Family, Server, SrvRecord
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery import options
from meshlib.discovery.contract import Publish, Target
from meshlib.discovery.refresh import refresh_after
from meshlib.errors import ConfigError, DiscoveryError

__all__ = ["SRV", "Srv", "weights"]

_AT_ONCE = 16  # look-ups of targets whose addresses the answer did not carry

Addresses = dict[str, tuple[str, ...]]


class Srv:
    """Priorities become ranks from 0, weights are kept, a target's weight is shared by its addresses.

    A target whose address cannot be had keeps the addresses it had; when none can be had the watch fails. Options:
    `family` (auto, 4, 6, all), `nameserver` (repeatable). Without a name, `_http._tcp.` and the logical name.
    """

    def check(self, target: Target) -> None:
        """A name without a port, and known options."""
        uri = target.uri.only("family", "nameserver")
        options.family(uri)
        options.servers(uri)
        if uri.path not in ("", "/"):
            raise ConfigError(f"{uri.text}: the name belongs before the path: write srv://_http._tcp.name")
        if len(target.authorities()) != 1:
            raise ConfigError(f"{uri.text} needs one name: write srv://_http._tcp.name")
        if uri.port is not None:
            raise ConfigError(f"{uri.text}: SRV records bring the port: write srv://{uri.host}")

    async def watch(self, target: Target, io: IO, publish: Publish) -> None:
        """Asked again at 0.9 x the shortest TTL of the records and of their addresses."""
        self.check(target)
        family, servers = options.family(target.uri), options.servers(target.uri)
        name = target.uri.host or _default_name(target.name)
        known: Addresses = {}
        while True:
            answer = await io.services(name, servers=servers)
            found, ttl = await _located(answer, io, family, servers, known)
            known = found
            publish(EndpointSet(_endpoints(answer.records, found)))
            await io.sleep(refresh_after(ttl, io.random()))


def _default_name(name: str) -> str:
    return name if name.startswith("_") else f"_http._tcp.{name}"


async def _located(
    answer: Answer, io: IO, family: Family, servers: Sequence[Server], known: Addresses
) -> tuple[Addresses, float]:
    """Addresses by target, and how long the whole may be believed."""
    ttl = answer.ttl
    found: Addresses = {}
    missing: list[str] = []
    for record in answer.records:
        carried = _of_family(record.addresses, family)
        if carried:
            found[record.target] = carried
        elif record.target not in missing:
            missing.append(record.target)
    failure: Exception | None = None
    for start in range(0, len(missing), _AT_ONCE):
        batch = missing[start : start + _AT_ONCE]
        replies = await asyncio.gather(
            *(io.addresses(name, family=family, servers=servers) for name in batch), return_exceptions=True
        )
        for name, reply in zip(batch, replies, strict=True):
            if isinstance(reply, Answer):
                found[name] = reply.addresses
                ttl = min(ttl, reply.ttl)
            elif isinstance(reply, Exception):
                failure = reply
                ttl = min(ttl, 5.0)
                if name in known:
                    found[name] = known[name]
            else:
                raise reply
    if failure is not None and not any(found.values()):
        raise DiscoveryError(f"no target has an address: {failure}") from failure
    return found, ttl


def _of_family(addresses: tuple[str, ...], family: Family) -> tuple[str, ...]:
    """What may be used of the addresses beside a record. With "auto", both families mean that the choice is the
    look-up's, which knows the routes."""
    four = tuple(address for address in addresses if ":" not in address)
    six = tuple(address for address in addresses if ":" in address)
    if family == "4":
        return four
    if family == "6":
        return six
    return addresses if family == "all" or not (four and six) else ()


def weights(records: Iterable[SrvRecord]) -> list[float]:
    """The weight of each record of one priority.

    RFC 2782: records of weight 0 "should have a very small chance of being selected" beside others. Its algorithm draws
    an integer from 0 to the sum and takes the first record reached, zeros first: all zeros together have 1 / (sum + 1).
    Only zeros: all alike.
    """
    plain = [record.weight for record in records]
    zeros = plain.count(0)
    if zeros == len(plain):
        return [100.0] * zeros
    return [float(weight) if weight else 1.0 / zeros for weight in plain]


def _endpoints(records: Sequence[SrvRecord], found: Addresses) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    for rank, priority in enumerate(sorted({record.priority for record in records})):
        group = [record for record in records if record.priority == priority]
        for record, weight in zip(group, weights(group), strict=True):
            addresses = found.get(record.target, ())
            endpoints += [
                Endpoint(host=address, port=record.port, weight=weight / len(addresses), priority=rank)
                for address in addresses
            ]
    return endpoints


SRV = Srv()
