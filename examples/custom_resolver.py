"""A registry of your own: one coroutine that publishes endpoint sets, one registration line.

    python examples/custom_resolver.py

In a distribution the line is an entry point of the group `meshlib.resolvers`; here it is a call.
"""

import os

from meshlib import Client, ConfigError
from meshlib.core.endpoint import Endpoint
from meshlib.core.io import IO
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery import RESOLVERS, Target
from meshlib.discovery.contract import Publish
from meshlib.testing import ServiceProcess


class Environment:
    """`env:///NAME`: the endpoints stand in a variable, separated by spaces, and are looked at every ten seconds."""

    def check(self, target: Target) -> None:
        """Called when policy is read: no I/O, ConfigError for what can never work."""
        if len(target.uri.only().path) < 2:
            raise ConfigError(f"{target.uri.text} names no variable: write env:///ORDERS_ENDPOINTS")

    async def watch(self, target: Target, io: IO, publish: Publish) -> None:
        """Runs on the background loop for ever. An error is let out: it is reported, and the last good set stays."""
        name = target.uri.path.removeprefix("/")
        while True:
            written = os.environ[name].split()
            publish(EndpointSet(self._endpoint(one, target) for one in written))
            await io.sleep(10.0)

    def _endpoint(self, text: str, target: Target) -> Endpoint:
        host, _, port = text.partition(":")
        return Endpoint(host=host, port=target.port_of(int(port) if port else None))


RESOLVERS.register("env", Environment())


def main() -> None:
    with ServiceProcess("a") as a, ServiceProcess("b") as b:
        os.environ["ORDERS_ENDPOINTS"] = f"{a.address} {b.address}"
        policy = {"balancer": "round_robin"}
        with Client("http://orders", discovery="env:///ORDERS_ENDPOINTS", policy=policy) as orders:
            print(sorted({orders.get("/").json()["name"] for _ in range(10)}))


if __name__ == "__main__":
    main()
