"""ServerContext: the server's half, an `ssl.SSLContext` whose every connection gets the credentials in force.

A context in use cannot be given another certificate safely: OpenSSL replaces certificate and key one after the other while
handshakes read them, authorities can only be added, and session tickets of the old trust stay valid. So the context that the
server holds is a front: `wrap_bio` and `wrap_socket`, which is all that servers call, are answered by the newest real one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Literal

from meshlib.errors import ConfigError
from meshlib.security.context import load, trust
from meshlib.security.credentials import Credentials
from meshlib.security.verify import Accepted

__all__ = ["Clients", "Configure", "ServerContext"]

Clients = Literal["strict", "permissive"]
"""strict: no connection without a certificate that we trust. permissive: without one too, but a wrong one is refused."""

Configure = Callable[[ssl.SSLContext], object]


class _CheckedObject(ssl.SSLObject):
    """A connection of an event loop: the handshake ends with the look at who the client is."""

    def do_handshake(self) -> None:
        super().do_handshake()
        _check(self)


class _CheckedSocket(ssl.SSLSocket):
    """The same for a blocking socket."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        _check(self)


class _Real(ssl.SSLContext):
    """A context made of one set of credentials; never changed after it was made."""

    sslobject_class = _CheckedObject
    sslsocket_class = _CheckedSocket
    accepted: Accepted | None = None


def _check(connection: ssl.SSLObject | ssl.SSLSocket) -> None:
    context = connection.context
    if isinstance(context, _Real) and context.accepted and connection.getpeercert(True) is not None:
        # Who shows none was let in or not by the handshake.
        context.accepted.require(connection, "a client")


class ServerContext(ssl.SSLContext):
    """For a server's `ssl=`. TLS 1.2 at least. Thread-safe; changing it raises TypeError: give `configure` instead.

    `held()` returns the credentials in force; `configure` is called with every real context that is made of them. ConfigError
    when they have no certificate.
    """

    _sealed = False

    def __new__(cls, *arguments: Any, **named: Any) -> ServerContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(
        self,
        held: Callable[[], Credentials],
        clients: Clients = "strict",
        alpn: tuple[str, ...] = ("http/1.1",),
        accepted: Accepted | None = None,
        configure: Configure | None = None,
    ) -> None:
        self._held = held
        self._kind = (clients, alpn, accepted, configure)
        credentials = held()
        self._real: tuple[Credentials, ssl.SSLContext] = (credentials, _made(credentials, *self._kind))
        for name in ("verify_mode", "minimum_version"):  # for whoever looks at it
            super().__setattr__(name, getattr(self._real[1], name))
        self._sealed = True

    @property
    def current(self) -> ssl.SSLContext:
        """The real context of the credentials in force; if OpenSSL refuses them, the former one."""
        credentials = self._held()
        if credentials is not self._real[0]:
            try:
                real = _made(credentials, *self._kind)
            except (ConfigError, ssl.SSLError):
                real = self._real[1]
            object.__setattr__(self, "_real", (credentials, real))
        return self._real[1]

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext.wrap_socket`, with the credentials in force."""
        return self.current.wrap_socket(*arguments, **named)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """As `ssl.SSLContext.wrap_bio`, with the credentials in force."""
        return self.current.wrap_bio(*arguments, **named)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._sealed:
            raise _sealed(name)
        super().__setattr__(name, value)

    def load_cert_chain(self, *arguments: Any, **named: Any) -> None:
        """TypeError."""
        raise _sealed("load_cert_chain")

    def load_verify_locations(self, *arguments: Any, **named: Any) -> None:
        """TypeError."""
        raise _sealed("load_verify_locations")

    def set_alpn_protocols(self, *arguments: Any, **named: Any) -> None:
        """TypeError."""
        raise _sealed("set_alpn_protocols")

    def set_ciphers(self, *arguments: Any, **named: Any) -> None:
        """TypeError."""
        raise _sealed("set_ciphers")


def _sealed(name: str) -> TypeError:
    return TypeError(
        f"{name}: this context makes a new one at each rotation: give configure= what to set on each"
    )


def _made(
    credentials: Credentials,
    clients: Clients,
    alpn: tuple[str, ...],
    accepted: Accepted | None,
    configure: Configure | None,
) -> ssl.SSLContext:
    if not credentials.chain:
        raise ConfigError("a server needs a certificate: set cert and key of tls, or give them here")
    if not credentials.anchors:
        raise ConfigError("a server needs the authorities of its clients: set ca of tls, or give it here")
    context = _Real(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED if clients == "strict" else ssl.CERT_OPTIONAL
    context.accepted = accepted
    if alpn:
        context.set_alpn_protocols(list(alpn))
    trust(context, credentials)
    load(context, credentials)
    if configure is not None:
        configure(context)
    return context
