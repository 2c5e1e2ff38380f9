"""Scene: the real servers of the demo, and the file registry that lists them."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from meshlib.testing import ServiceProcess

__all__ = ["SLOW", "WORK", "Replica", "Scene"]

WORK = 0.005
"""Seconds that a healthy replica works on a request."""

SLOW = 0.4
"""And a slow one: inside every usual timeout, so that nobody but the user notices."""

# Below the range that Linux, macOS and Windows give to outgoing connections. A client that connects to a dead loopback
# port of that range is, once in some ten thousand times, given that very port and talks to itself.
_PORTS = range(21_000, 32_000)


class Replica:
    """One server process, and what the script has done to it (`condition`, for people)."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.condition: str = ""
        self._process = ServiceProcess(name, port=port, delay=WORK)

    @property
    def address(self) -> str:
        """`127.0.0.1:21044`."""
        return self._process.address

    def launch(self) -> None:
        """Start the process without waiting for it."""
        self._process.launch()

    def ready(self) -> None:
        """Wait until it listens."""
        self._process.ready()
        self.condition = "healthy"

    def slow(self) -> None:
        """Every answer takes SLOW from now on."""
        self._process.control(delay=SLOW)
        self.condition = f"slow ({SLOW * 1000:.0f} ms)"

    def heal(self) -> None:
        """As quick as before."""
        self._process.control(delay=WORK)
        self.condition = "healthy"

    def kill(self) -> None:
        """SIGKILL: connections are cut in the middle of requests, the port refuses."""
        self._process.kill()
        self.condition = "killed"

    def start(self) -> None:
        """Bring it up, on the same port as before."""
        self.launch()
        self.ready()

    def stop(self) -> None:
        """End the process, within a second."""
        self._process.stop(within=1.0)
        self.condition = "stopped"


class Scene:
    """Three replicas of `orders` and the document that lists them. `close` leaves nothing: no process, no folder.

    The processes also end by themselves when this one does, however it ends (see ServiceProcess).
    """

    def __init__(self, *, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self.replicas: list[Replica] = []
        self.folder: Path = Path(tempfile.mkdtemp(prefix="meshlib-demo-"))
        self.registry: Path = self.folder / "orders.json"

    @property
    def uri(self) -> str:
        """The discovery URI of the registry."""
        return self.registry.absolute().as_uri()

    def open(self, count: int = 3) -> None:
        """Start the replicas side by side and list them."""
        for _ in range(count):
            self._add().launch()
        for replica in self.replicas:
            replica.ready()
        self.publish()

    def grow(self) -> Replica:
        """One more replica, listed once it listens."""
        replica = self._add()
        replica.start()
        self.publish()
        return replica

    def publish(self) -> None:
        """Write the registry, whole or not at all. A killed replica stays listed, as in a registry that waits for its lease."""
        endpoints = [
            {"address": replica.address, "labels": {"name": replica.name}} for replica in self.replicas
        ]
        draft = self.registry.with_suffix(".new")
        draft.write_text(json.dumps({"endpoints": endpoints}, indent=1), encoding="utf-8")
        os.replace(draft, self.registry)

    def close(self) -> None:
        """Stop everything and remove the folder. May be called at any time, and again."""
        for replica in self.replicas:
            replica.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _add(self) -> Replica:
        replica = Replica(f"orders-{len(self.replicas) + 1}", self._free_port())
        self.replicas.append(replica)
        return replica

    def _free_port(self) -> int:
        """A port nobody listens on."""
        for _ in range(100):
            port = _PORTS[int(self._chance() * len(_PORTS))]
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        return 0  # the system's choice, if it comes to that
