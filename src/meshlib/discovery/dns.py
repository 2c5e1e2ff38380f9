"""dns://name:port: every address of a name is an endpoint (A and AAAA records)."""

from __future__ import annotations

from meshlib.core.endpoint import Endpoint
from meshlib.core.io import IO
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery import options
from meshlib.discovery.contract import Publish, Target
from meshlib.discovery.refresh import refresh_after
from meshlib.errors import ConfigError

__all__ = ["DNS", "Dns"]


class Dns:
    """Publishes what the answer says, no more and no longer: a name that surely has no address is an empty set.

    Asked again at 0.9 x TTL. Options: `family` (auto, 4, 6, all), `nameserver` (repeatable).
    """

    def check(self, target: Target) -> None:
        """A name, and known options."""
        uri = target.uri.only("family", "nameserver")
        options.family(uri)
        options.servers(uri)
        if uri.path not in ("", "/"):
            raise ConfigError(f"{uri.text}: the name belongs before the path: write dns://name:port")
        if not target.authorities():
            raise ConfigError(f"{uri.text} names no host: write dns://name:port")

    async def watch(self, target: Target, io: IO, publish: Publish) -> None:
        """Several names make one set."""
        self.check(target)
        family, servers = options.family(target.uri), options.servers(target.uri)
        while True:
            endpoints: list[Endpoint] = []
            ttl = float("inf")
            for name, port in target.authorities():
                answer = await io.addresses(name, family=family, servers=servers)
                ttl = min(ttl, answer.ttl)
                at = target.port_of(port)
                endpoints += [Endpoint(host=address, port=at) for address in answer.addresses]
            publish(EndpointSet(endpoints))
            await io.sleep(refresh_after(ttl, io.random()))


DNS = Dns()
