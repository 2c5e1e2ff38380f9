"""Lookup: names to addresses and services, by the documented order, off every application loop.

IP literal; hosts file; localhost (RFC 6761); DNS with resolv.conf's servers, search list and ndots; and when that
finds nothing, the system's own resolver on a thread (mDNS, VPN split DNS, directory services).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence

from meshlib.core.io import Answer, Family, Server, SrvRecord
from meshlib.errors import DiscoveryError
from meshlib.world import route
from meshlib.world.files import Files
from meshlib.world.hosts import HOSTS_PATH, is_literal, is_localhost, parse_hosts
from meshlib.world.nameserver import TOTAL, Records, ask, load
from meshlib.world.offload import Offload
from meshlib.world.resolvconf import RESOLV_CONF, ResolvConf, candidates, parse_resolv_conf

__all__ = ["LITERAL_TTL", "LOCAL_TTL", "Lookup"]

LITERAL_TTL = 3600.0
"""An address means itself for ever; an hour keeps arithmetic finite."""

LOCAL_TTL = 30.0
"""For answers that carry no TTL: the hosts file and the system resolver."""

_ONE_SIDED_TTL = 5.0  # when one of two families could not be had: try again soon

GetAddrInfo = Callable[[str, None, int, int], Sequence[tuple[int, int, int, str, tuple[object, ...]]]]


class Lookup:
    """`addresses` and `services` of `core.io.IO`. All its coroutines run on one loop, the background's.

    A look-up takes at most 5 s of DNS and 5 s of the system resolver; every failure is a DiscoveryError. Both files
    are read on a thread and again when they change.
    """

    def __init__(
        self,
        files: Files,
        *,
        hosts: str = HOSTS_PATH,
        resolv_conf: str = RESOLV_CONF,
        routed: Callable[[str], bool] = route.has_route,
        system: GetAddrInfo = socket.getaddrinfo,
    ) -> None:
        self._files = files
        self._hosts_path = hosts
        self._resolv_path = resolv_conf
        self._routed = routed
        self._system = system
        self._offload = Offload(4, "meshlib-names")
        self._hosts: tuple[bytes, dict[str, tuple[str, ...]]] = (b"", {})
        self._conf: tuple[bytes, ResolvConf] | None = None
        self._loaded = False

    async def addresses(
        self, name: str, *, family: Family = "auto", servers: Sequence[Server] = ()
    ) -> Answer:
        """All addresses of one family (with "all", of both); none and a negative TTL when there surely are none."""
        wanted = route.families(family, self._routed)
        if is_literal(name):
            return Answer(addresses=(name,), ttl=LITERAL_TTL, source="literal")
        for source, known in (("hosts", await self._from_hosts(name)), ("localhost", _from_localhost(name))):
            found = _pick(known, wanted, family)
            if found:
                return Answer(addresses=found, ttl=LOCAL_TTL, source=source)
        if is_localhost(name):
            return Answer(ttl=LOCAL_TTL, source="localhost")
        try:
            answer = await self._from_dns(name, wanted, family, servers)
        except DiscoveryError:
            if servers:
                raise  # whoever names the servers wants their word, not another's
            system = await self._from_system(name, wanted, family)
            if not system:
                raise
        else:
            if answer.addresses or servers:
                return answer
            system = await self._from_system(name, wanted, family)
            if not system:
                return answer
        return Answer(addresses=system, ttl=LOCAL_TTL, source="system")

    async def services(self, name: str, *, servers: Sequence[Server] = ()) -> Answer:
        """The SRV records (RFC 2782) with the addresses their answer carried; only DNS knows them.

        A target of "." ("the service is decidedly not available") gives no record.
        """
        found = await self._ask_all(name, "SRV", servers, time.monotonic() + TOTAL)
        ttl = found.ttl
        records = []
        for record in found.records:
            target = record.target.to_text(omit_final_dot=True).lower()
            if target in (".", "@", ""):
                continue
            carried = found.additional.get(target, [])
            ttl = min([ttl, *(life for _, life in carried)])
            records.append(
                SrvRecord(
                    target=target,
                    port=record.port,
                    priority=record.priority,
                    weight=record.weight,
                    addresses=tuple(dict.fromkeys(address for address, _ in carried)),
                )
            )
        return Answer(records=tuple(records), ttl=ttl)

    async def _from_hosts(self, name: str) -> tuple[str, ...]:
        try:
            content = await self._files.read(self._hosts_path)
        except OSError:
            return ()
        if content is not self._hosts[0]:
            self._hosts = (content, parse_hosts(content))
        return self._hosts[1].get(name.lower().removesuffix("."), ())

    async def _from_dns(
        self, name: str, wanted: tuple[str, ...], family: Family, servers: Sequence[Server]
    ) -> Answer:
        until = time.monotonic() + TOTAL
        if family == "all":
            return _both(
                *await asyncio.gather(
                    self._ask_all(name, "A", servers, until),
                    self._ask_all(name, "AAAA", servers, until),
                    return_exceptions=True,
                )
            )
        ttl = float("inf")
        for one in wanted:
            # An error of the better family ends it: going on would move every call to the other family and back.
            found = await self._ask_all(name, "A" if one == "4" else "AAAA", servers, until)
            ttl = found.ttl if found.records else min(ttl, found.ttl)
            if found.records:
                return Answer(addresses=_addresses(found), ttl=ttl)
        return Answer(ttl=ttl)

    async def _ask_all(self, name: str, kind: str, servers: Sequence[Server], until: float) -> Records:
        """The records of the first name of the search list that has any; when none has, the shortest negative TTL."""
        if not self._loaded:
            await self._offload.run(load)
            self._loaded = True
        conf = await self._configuration(required=not servers)
        nothing = Records((), float("inf"), {})
        for candidate in candidates(name, conf.search, conf.ndots):
            found = await ask(candidate, kind, servers or conf.servers, until)
            if found.records:
                return found
            nothing.ttl = min(nothing.ttl, found.ttl)
        return nothing

    async def _configuration(self, *, required: bool) -> ResolvConf:
        try:
            content = await self._files.read(self._resolv_path)
            if self._conf is None or self._conf[0] is not content:
                self._conf = (content, parse_resolv_conf(content))
        except (OSError, DiscoveryError) as error:
            if self._conf is None and required:
                raise DiscoveryError(f"no name server is known: {error}") from error
        return ResolvConf() if self._conf is None else self._conf[1]

    async def _from_system(self, name: str, wanted: tuple[str, ...], family: Family) -> tuple[str, ...]:
        def call() -> tuple[str, ...]:
            found = self._system(name, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
            return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))

        try:
            async with asyncio.timeout(TOTAL):
                known = await self._offload.run(call)
        except (OSError, UnicodeError, ValueError):
            return ()
        return _pick(known, wanted, family)


def _from_localhost(name: str) -> tuple[str, ...]:
    return ("127.0.0.1", "::1") if is_localhost(name) else ()


def _pick(known: tuple[str, ...], wanted: tuple[str, ...], family: Family) -> tuple[str, ...]:
    """What of the known addresses is to be used: the first family that has any, or with "all" everything."""
    if family == "all":
        return known
    for one in wanted:
        found = route.of_family(known, one)
        if found:
            return found
    return ()


def _addresses(found: Records) -> tuple[str, ...]:
    return tuple(dict.fromkeys(record.address for record in found.records))


def _both(four: Records | BaseException, six: Records | BaseException) -> Answer:
    """Both families in one answer; servers that fail on AAAA alone exist, so one of the two is enough for a while."""
    good = [found for found in (four, six) if isinstance(found, Records)]
    filled = [found for found in good if found.records]
    if len(good) < 2 and not filled:
        raise next(found for found in (four, six) if isinstance(found, BaseException))
    ttl = min(found.ttl for found in filled or good)
    return Answer(
        addresses=tuple(address for found in filled for address in _addresses(found)),
        ttl=ttl if len(good) == 2 else min(ttl, _ONE_SIDED_TTL),
    )
