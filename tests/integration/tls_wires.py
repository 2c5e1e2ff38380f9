"""What the tests of TLS by policy share: a shop whose servers write down who came and how, and a mesh that is `web`."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509

from meshlib.mesh import Mesh
from meshlib.runtime import Runtime
from meshlib.security import spiffe_id_of
from tests.integration.http_kit import Kit, Side, in_flight, uri
from tests.integration.raw_server import Peer, RawServer, framed
from tests.integration.wire_kit import Outcomes, turn
from tests.tls import Pki

__all__ = ["CALM", "ORDERS", "WEB", "Shop", "TlsServer", "connections", "serial_of", "versions"]

WEB = "spiffe://mesh.test/web"
ORDERS = "spiffe://mesh.test/orders"
CALM: dict[str, Any] = {
    "breaker": False,
    "ejection": False,
    "retry": {"attempts": 3, "wait": {"base": 0.001}},
}
"""Policy of a service whose failures have no consequences for the next call."""
_numbers = count()


class TlsServer(RawServer):
    """Answers each request with who sent it (`who`), and with a body in two halves when it is asked for `/long`.

    By connection: `names` (SNI), `who` (SPIFFE IDs), `serials` (of the client's certificates), `resumed`. `halfway` is waited
    for between the halves; `closing` closes behind each answer.
    """

    def __init__(self, context: ssl.SSLContext | None, *, closing: bool = False, named: bool = True) -> None:
        super().__init__(self._answer, tls=context)
        self.names: list[str | None] = []
        self.who: list[str] = []
        self.serials: list[int] = []
        self.resumed: list[bool] = []
        self.halfway = threading.Event()
        self._closing = closing
        if context is not None and named:
            context.sni_callback = lambda connection, name, context: self.names.append(name)

    def _answer(self, peer: Peer) -> None:
        who = "in clear"
        if isinstance(peer.sock, ssl.SSLSocket):
            certificate = peer.sock.getpeercert(True)
            who = str(spiffe_id_of(peer.sock))
            self.who.append(who)
            self.serials.append(serial_of(certificate))
            self.resumed.append(bool(peer.sock.session_reused))
        extra = (b"Connection: close",) if self._closing else ()
        while request := peer.request():
            if b" /long " in request:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", b"a" * 100_000)
                self.halfway.wait(5.0)
                peer.send(b"b" * 100_000)
            else:
                peer.send(framed(who.encode(), *extra))
            if self._closing:
                return


def serial_of(certificate: bytes | None) -> int:
    """Of a certificate in DER; 0 for none."""
    return 0 if certificate is None else x509.load_der_x509_certificate(certificate).serial_number


class Shop:
    """One authority, the files of `web` in `folder`, and servers that it has issued certificates to."""

    def __init__(self, kit: Kit, pki: Pki, folder: Path) -> None:
        self.kit, self.pki, self.folder = kit, pki, folder
        self.files = pki.write(folder, "web")
        self.outcomes = Outcomes()

    def context(
        self, service: str = "orders", *names: str, clients: bool = True, pki: Pki | None = None, **how: Any
    ) -> ssl.SSLContext:
        """A server's, made without any code of ours; it wants a certificate of its `clients`."""
        where = self.folder / f"server-{next(_numbers)}"
        where.mkdir()
        files = (pki or self.pki).write(where, service.replace("/", "-"), *(names or (service,)), **how)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["cert"], files["key"])
        context.load_verify_locations(self.files["ca"])
        context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_OPTIONAL
        return context

    @contextmanager
    def mesh(self, services: Mapping[str, Any], ours: Mapping[str, Any] | None = None) -> Iterator[Mesh]:
        """A mesh that is `web`; at the end nothing is in flight."""
        tls = self.files if ours is None else ours
        policy = self.kit.policy(tls=tls, services={name: CALM | keys for name, keys in services.items()})
        with Mesh(policy=policy, telemetry=False, listeners=[self.outcomes]) as mesh:
            yield mesh
            assert in_flight(mesh) == 0

    @contextmanager
    def side(
        self,
        *servers: RawServer,
        tls: Any = "strict",
        ours: Any = None,
        url: str = "http://orders",
        **options: Any,
    ) -> Iterator[Side]:
        """A client whose code says `http://orders`, and the policy `tls` for it."""
        keys = {"discovery": uri(*servers), **({} if tls is None else {"tls": tls})}
        with self.mesh({"orders": keys}, ours) as mesh, self.kit.side(url, mesh=mesh, **options) as side:
            yield side

    @property
    def causes(self) -> list[str]:
        """What the attempts were counted as."""
        return [outcome.cause for outcome in self.outcomes.seen]


def connections(side: Side) -> int:
    """Open connections, idle ones among them, after what the loop has still to close."""
    turn(side, 50)
    return sum(len(wire.connections) for wire, *_ in side.runtime.pools._wires.values())


def versions(runtime: Runtime) -> Callable[[], bool]:
    """Whether, since now, a new identity has come into force."""
    before = runtime.identities.state()[0]["version"]
    return lambda: runtime.identities.state()[0]["version"] > before
