"""ServiceSecurity: what policy says about the connections to one service; Secured: what one new connection needs of it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from meshlib.security.verify import Accepted
from meshlib.security.version import next_version

if TYPE_CHECKING:
    from collections.abc import Hashable

    from meshlib.core.endpoint import Endpoint
    from meshlib.policy.tls import TlsOptions
    from meshlib.security.context import Contexts
    from meshlib.security.rotate import Rotation
    from meshlib.security.session import Sessions

__all__ = ["TLS_LABELS", "Secured", "ServiceSecurity", "advertises"]

TLS_LABELS = {"tls": "true", "security.istio.io/tlsMode": "istio"}
"""The labels by which an endpoint says that it speaks TLS: ours, and the one that Istio puts on its pods."""

_SECURE = ("https", "wss")
_USUAL = ("http/1.1",)
_KNOWN = 4096


class Secured:
    """The TLS of one new connection. Immutable.

    `context` is shared and must not be changed. `server_hostname` is what the handshake asks for (with an address no SNI is
    sent, and the address is what is verified). Call `check` after the handshake and before the first byte of a request. A
    pooled connection whose `version` is not its service's any more is to be drained.
    """

    __slots__ = ("_accepted", "_peer", "_sessions", "_target", "context", "server_hostname", "version")

    def __init__(
        self,
        context: ssl.SSLContext,
        server_hostname: str,
        version: int,
        accepted: Accepted | None,
        sessions: Sessions,
        peer: Hashable,
        target: str,
    ) -> None:
        self.context: ssl.SSLContext = context
        self.server_hostname: str = server_hostname
        self.version: int = version
        self._accepted = accepted
        self._sessions = sessions
        self._peer = peer
        self._target = target

    def check(self, connection: ssl.SSLObject | ssl.SSLSocket) -> None:
        """PeerIdentityError when the peer is not one that is accepted. Nothing to do when the name was checked."""
        if self._accepted is not None:
            self._accepted.require(connection, self._target)

    @property
    def session(self) -> ssl.SSLSession | None:
        """For `context.wrap_socket(..., session=...)`: the last session with this peer. Blocking sockets only."""
        return self._sessions.get(self._peer)

    def remember(self, connection: ssl.SSLSocket) -> None:
        """Keep the connection's session for the next one. After a response: TLS 1.3 sends tickets behind the handshake."""
        session = connection.session
        if session is not None and session.has_ticket:
            self._sessions.put(self._peer, session)


class ServiceSecurity:
    """The `tls` group of one service, in force. Thread-safe; made anew when the group changes.

    `version` grows with every rotation and every change of the group.
    """

    __slots__ = ("_accepted", "_known", "_made", "_strict", "options", "rotation", "target")

    def __init__(self, target: str, options: TlsOptions, rotation: Rotation) -> None:
        self.target: str = target
        self.options: TlsOptions = options
        self.rotation: Rotation = rotation
        self._strict = options.mode == "strict"
        self._accepted: Accepted | None = Accepted(options.spiffe_ids, options.sans) or None
        self._made = next_version()
        self._known: dict[Hashable, tuple[Endpoint, Contexts, Secured | None]] = {}

    @property
    def version(self) -> int:
        """What connections made from now on have; an older one is to be drained."""
        rotated = self.rotation.held.credentials.version
        return rotated if rotated > self._made else self._made

    def warm(self) -> None:
        """Make the context of the usual kind now, so that what OpenSSL refuses is a ConfigError here and not in a call."""
        self.rotation.held.client(self._accepted is None, _USUAL)

    def connection(
        self, endpoint: Endpoint, scheme: str, host: str, alpn: tuple[str, ...] = _USUAL
    ) -> Secured | None:
        """How to connect to an endpoint for a URL of this scheme and host (in ASCII); None: in clear.

        A dictionary look-up after the first for an endpoint. ConfigError when OpenSSL refuses the credentials, which were
        checked before.
        """
        key = (endpoint.host, endpoint.port, scheme, host, alpn)
        known, held = self._known, self.rotation.held
        found = known.get(key)
        if found is not None and found[0] is endpoint and found[1] is held:
            return found[2]
        secured = self._connection(held, endpoint, scheme, host, alpn)
        if len(known) >= _KNOWN:
            known.clear()
        known[key] = (endpoint, held, secured)
        return secured

    def _connection(
        self, held: Contexts, endpoint: Endpoint, scheme: str, host: str, alpn: tuple[str, ...]
    ) -> Secured | None:
        if not (self._strict or scheme in _SECURE or advertises(endpoint)):
            return None
        override = endpoint.override
        name = (override.tls_name if override is not None else None) or self.options.name or host
        name = name.rstrip(".") or endpoint.host
        accepted = self._accepted
        by_name = accepted is None
        context = held.client(by_name, alpn)
        version = held.credentials.version
        return Secured(
            context,
            name,
            version if version > self._made else self._made,
            accepted,
            held.sessions,
            (by_name, alpn, name, endpoint.host, endpoint.port),
            self.target,
        )


def advertises(endpoint: Endpoint) -> bool:
    """Whether an endpoint says that it speaks TLS: by one of `TLS_LABELS`, or by bringing a TLS name."""
    override = endpoint.override
    if override is not None and override.tls_name:
        return True
    labels = endpoint.labels
    return bool(labels) and any(labels.get(key, "").lower() == value for key, value in TLS_LABELS.items())
