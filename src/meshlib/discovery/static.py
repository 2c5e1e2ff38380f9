"""static://h1:p1,h2:p2: the endpoints are what is written. Names are resolved when a connection is made."""

from __future__ import annotations

from meshlib.core.endpoint import Endpoint
from meshlib.core.io import IO
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery.contract import Publish, Target
from meshlib.errors import ConfigError

__all__ = ["STATIC", "Static"]


class Static:
    """Publishes once. Without hosts, the service itself is the one endpoint."""

    def check(self, target: Target) -> None:
        """Hosts, and nothing else."""
        uri = target.uri.only()
        if uri.path not in ("", "/"):
            raise ConfigError(
                f"{uri.text}: static:// takes hosts only, separated by commas; the path is not used"
            )
        if not target.authorities():
            raise ConfigError(f"{uri.text} names no host: write static://host1:8080,host2:8080")

    async def watch(self, target: Target, io: IO, publish: Publish) -> None:
        """One set, for ever."""
        self.check(target)
        publish(
            EndpointSet(Endpoint(host=host, port=target.port_of(port)) for host, port in target.authorities())
        )


STATIC = Static()
