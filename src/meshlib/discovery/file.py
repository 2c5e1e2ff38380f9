"""file:///path: endpoints from a document on this machine, read again when it changes."""

from __future__ import annotations

from copy import copy

from meshlib.core.io import IO
from meshlib.core.snapshot import EndpointSet
from meshlib.discovery.contract import Publish, Target
from meshlib.discovery.document import parse_endpoints
from meshlib.errors import ConfigError
from meshlib.world.files import EVERY
from meshlib.world.slices import sliced

__all__ = ["FILE", "File"]


class File:
    """Looks once a second. A malformed document is a ConfigError with every problem; the last good set stays."""

    def check(self, target: Target) -> None:
        """An absolute path, and nothing else."""
        uri = target.uri.only()
        if uri.authorities or len(uri.path) < 2:
            raise ConfigError(f"{uri.text} needs an absolute path: write file:///etc/mesh/orders.toml")

    async def watch(self, target: Target, io: IO, publish: Publish) -> None:
        """Publishes at each look, so that the age of the set is the age of the last look."""
        self.check(target)
        path, port = target.uri.path, target.port_of(None)
        seen: bytes | None = None
        known = EndpointSet(())
        while True:
            try:
                content = await io.read(path)
            except OSError as error:
                # Not there yet, or between two names: mended on this machine, so the runner looks every second.
                raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
            if content is not seen and content != seen:
                known = EndpointSet(await sliced(parse_endpoints(content, path, port), io))
                seen = content
            publish(
                copy(known)
            )  # a copy costs nothing beside a millisecond for building 10,000 endpoints anew
            await io.sleep(EVERY)


FILE = File()
