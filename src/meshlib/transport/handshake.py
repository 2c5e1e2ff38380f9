"""How a wire's connections are secured: as the service's policy says, else as the URL and the client say."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from meshlib.core.endpoint import Endpoint
    from meshlib.engine.attempt import Attempt
    from meshlib.security.secured import Secured, ServiceSecurity
    from meshlib.transport.binding import Binding

    Tls: TypeAlias = "Secured | ClientTls"

__all__ = ["ClientTls", "Handshakes", "ascii_host", "refusal"]

_REFUSALS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""What is in the names of the alerts that answer a certificate."""


class ClientTls:
    """The TLS of `https://` URLs of which policy says nothing: the client's `verify` and `cert`, as its family means them.

    The same face as `security.Secured`. `version` never changes.
    """

    __slots__ = ("_session", "context", "server_hostname")

    version = 0

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self.context: ssl.SSLContext = context
        self.server_hostname: str = server_hostname
        self._session: ssl.SSLSession | None = None

    def check(self, connection: ssl.SSLObject | ssl.SSLSocket) -> None:
        """Nothing: the context has verified what its owner wants verified."""

    @property
    def session(self) -> ssl.SSLSession | None:
        """The last session, for blocking sockets."""
        return self._session

    def remember(self, connection: ssl.SSLSocket) -> None:
        """Keep the session for the next connection."""
        session = connection.session
        if session is not None and session.has_ticket:
            self._session = session


class Handshakes:
    """One wire's. `security` gives what policy wants at this moment, `context` the client's own, made when first needed.

    `alpn` is what policy's contexts offer; empty for whoever sets it himself on a context of his own.
    """

    def __init__(
        self,
        binding: Binding,
        security: Callable[[], ServiceSecurity | None],
        context: Callable[[], ssl.SSLContext],
        alpn: tuple[str, ...],
    ) -> None:
        self._binding = binding
        self._security = security
        self._make = context
        self._alpn = alpn
        self._context: ssl.SSLContext | None = None
        self._own: dict[str, ClientTls] = {}

    def of(self, attempt: Attempt, request: Any) -> Tls | None:
        """What a connection for this attempt needs; None: it is in clear. The family's UnsupportedProtocol for an odd scheme."""
        scheme = self._binding.origin(request)[0]
        if scheme == "http" and self._security() is None:
            return None
        if scheme not in ("http", "https"):
            raise self._binding.module.UnsupportedProtocol(
                f"{scheme}:// is not spoken here: use http:// or https://", request=request
            )
        return self.to(
            attempt.node.endpoint, scheme, ascii_host(request), request.extensions.get("sni_hostname")
        )

    def to(self, endpoint: Endpoint, scheme: str, host: str, name: str | None = None) -> Tls | None:
        """The same for a connection that no request has asked for yet. `name`: the caller's own idea of who is there."""
        security = self._security()
        if security is not None:
            found = security.connection(endpoint, scheme, host, self._alpn)
            if found is not None:
                return found
        if scheme == "http":
            return None
        asked = name or host
        own = self._own.get(asked)
        if own is None:
            if self._context is None:
                self._context = self._make()
            own = self._own[asked] = ClientTls(self._context, asked)
        return own

    @property
    def version(self) -> int:
        """What connections made now have."""
        security = self._security()
        return ClientTls.version if security is None else security.version


def ascii_host(request: Any) -> str:
    """As the certificate knows it: in ASCII, and without the dot that makes a name absolute (RFC 6066 section 3)."""
    host: str = request.url.raw_host.decode("ascii")
    return host.rstrip(".")


def refusal(error: BaseException | None) -> str | None:
    """What to say of an error of a connection's first read when it is the peer's no to our certificate; else None.

    In TLS 1.3 our side of the handshake is over before the peer has looked at who we are (RFC 8446 section 4.4.2.4): its no comes
    with the first read, after a request was written that it never looked at.
    """
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or ""
    if "ALERT" in reason and any(word in reason for word in _REFUSALS):
        return f"the peer refused our certificate: {error}"
    return None
