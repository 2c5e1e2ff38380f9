"""Rotation: the credentials in force, replaced whole while connections are made with them.

Runs on the control path: contexts for the new credentials are made before the swap, so that no request waits for them. What is
wrong with a newer identity is said once, and the one in force stays.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from meshlib.core.identity import Identity
from meshlib.core.io import IO
from meshlib.errors import ConfigError
from meshlib.security.context import Contexts
from meshlib.security.credentials import Credentials, Where

__all__ = ["Rotation", "Watch"]

_FIRST, _LONGEST = 1.0, 60.0

Watch = Callable[[Callable[[Identity], None]], Coroutine[Any, Any, None]]
"""An IdentitySource's `watch`."""


class Rotation:
    """One identity over time. Read from any thread; `offer` and `report` are the control path's.

    `held` is replaced by one assignment; `problem` is what is wrong with the newest identity, "" while the one in force
    is the newest. `tell(facts)` hears of both. `wall` gives seconds since the epoch.
    """

    __slots__ = ("__weakref__", "_tell", "_wall", "held", "problem", "where")

    def __init__(
        self,
        first: Identity,
        where: Where,
        wall: Callable[[], float],
        tell: Callable[[Mapping[str, Any]], None] = lambda facts: None,
    ) -> None:
        self.where: Where = where
        self.held: Contexts = Contexts(Credentials(first, where))
        self.problem: str = ""
        self._wall = wall
        self._tell = tell

    @property
    def credentials(self) -> Credentials:
        """Those in force."""
        return self.held.credentials

    @property
    def version(self) -> int:
        """Grows with each rotation."""
        return self.held.credentials.version

    @property
    def name(self) -> str:
        """What this is called for people: the certificate's file, or the authorities'."""
        return self.where.cert or self.where.ca or "the default authorities"

    def offer(self, identity: Identity) -> None:
        """Put an identity in force. ConfigError when it is not sound, or has expired while the present one has not: then
        nothing has changed."""
        if identity.version == self.credentials.identity.version:
            return
        new, now = Credentials(identity, self.where), self._wall()
        if new.expired(now) and not self.credentials.expired(now):
            raise ConfigError(f"{self.name}: the new certificate has expired already")
        held = Contexts(new)
        held.like(self.held)
        self.held = held
        self._tell(self.facts())

    def report(self, problem: str) -> None:
        """What is wrong with the newest identity; "" when nothing is any more."""
        if problem != self.problem:
            self.problem = problem
            self._tell({**self.facts(), "error": problem})

    def stale(self) -> str:
        """What is wrong with the certificate in force as time goes by; "" when nothing is."""
        held = self.credentials
        if held.expired(self._wall()):
            return f"{self.name}: the certificate has expired, and nobody has put a new one there"
        if held.begins is not None and self._wall() < held.begins:
            return f"{self.name}: the certificate is not valid yet, or this machine's clock is slow"
        return ""

    def facts(self) -> dict[str, Any]:
        """Who we are now, in plain values for events and state. `expires` is seconds from now, None without a certificate."""
        held = self.credentials
        return {
            "source": self.name,
            "spiffe_id": held.names.spiffe_id,
            "names": [*held.names.dns, *held.names.addresses],
            "expires": None if held.expires is None else held.expires - self._wall(),
            "version": held.version,
        }

    async def follow(self, watch: Watch, io: IO) -> None:
        """Keep one IdentitySource's `watch` going until cancelled; its errors are reported, and it is started again.

        What is wrong with files is mended on this machine, so they are looked at again after a second; other sources back off
        to a minute with jitter.
        """
        failures = 0

        def taken(identity: Identity) -> None:
            nonlocal failures
            self.offer(identity)
            failures = 0
            self.report(self.stale())

        while True:
            try:
                await watch(taken)
                return
            except ConfigError as error:
                self.report(error.message)
                wait = _FIRST
            except Exception as error:
                failures += 1
                self.report(f"{self.name}: {type(error).__name__}: {error}")
                whole = min(_LONGEST, _FIRST * 2.0 ** min(failures - 1, 16))
                wait = whole / 2 + whole / 2 * io.random()
            await io.sleep(wait)
