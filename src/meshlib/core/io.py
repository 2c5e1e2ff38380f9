"""IO: the world as resolvers and policy providers see it. Injected, so that tests script it and simulators bend it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

__all__ = ["IO", "Answer", "Family", "Reply", "Server", "SrvRecord"]

Family = Literal["auto", "4", "6", "all"]


class Server(msgspec.Struct, frozen=True):
    """A name server's address."""

    host: str
    port: int = 53


class SrvRecord(msgspec.Struct, frozen=True):
    """One SRV record (RFC 2782) and, when the answer carried them, its target's addresses."""

    target: str
    port: int
    priority: int
    weight: int
    addresses: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a look-up found: addresses (for names) or records (for SRV), and how long it may be believed.

    `ttl` is seconds; for an answer that says "there is nothing" it is the negative TTL (RFC 2308). `source` names who
    answered: literal, hosts, localhost, dns, system.
    """

    addresses: tuple[str, ...] = ()
    records: tuple[SrvRecord, ...] = ()
    ttl: float = 0.0
    source: str = "dns"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A small HTTP response of the control path, whole in memory."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class IO(Protocol):
    """Everything a control-path coroutine may do to the world. Errors are OSError, TimeoutError or DiscoveryError."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, for dates only."""
        ...

    def random(self) -> float:
        """Uniform in [0, 1)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; returns early when the service was asked to refresh (`mesh.refresh`, a failed connect)."""
        ...

    async def addresses(
        self, name: str, *, family: Family = "auto", servers: Sequence[Server] = ()
    ) -> Answer:
        """All addresses of one family of a name, by the documented order of look-up."""
        ...

    async def services(self, name: str, *, servers: Sequence[Server] = ()) -> Answer:
        """The SRV records of a name."""
        ...

    async def read(self, path: str) -> bytes:
        """A file's content."""
        ...

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """One HTTP GET of the control path, outside every mesh policy."""
        ...

    def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, idle: float = 60.0
    ) -> AsyncIterator[bytes]:
        """The chunks of one long HTTP response; an idle connection raises TimeoutError."""
        ...
