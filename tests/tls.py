"""Certificates and handshakes for tests, without files and without a network."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meshlib.core.identity import Identity
from meshlib.security.authority import Authority, Issued
from meshlib.security.identity import identity_of

__all__ = ["NOW", "Pki", "handshake"]

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


class Pki:
    """One throw-away authority, and what it issues."""

    def __init__(self, trust_domain: str = "mesh.test") -> None:
        self.authority = Authority.new(trust_domain, NOW - 2 * HOUR, timedelta(days=1))
        self.ca = self.authority.certificate

    def issue(self, service: str, *names: str, hours: float = 1.0, ago: float = 0.0) -> Issued:
        """A certificate that began `ago` hours before now and is valid for `hours` from there."""
        begins = NOW - timedelta(hours=ago)
        return self.authority.issue(service, names or (service,), begins, timedelta(hours=hours))

    def identity(self, service: str, *names: str, hours: float = 1.0, ago: float = 0.0) -> Identity:
        """The same as an Identity that trusts the authority."""
        issued = self.issue(service, *names, hours=hours, ago=ago)
        return identity_of(self.ca, issued.certificate, issued.key)

    def write(
        self, folder: Path, service: str, *names: str, hours: float = 1.0, ago: float = 0.0
    ) -> dict[str, str]:
        """Files of it, replaced by renaming; the keys of `tls` that name them."""
        issued = self.issue(service, *names, hours=hours, ago=ago)
        contents = {"ca": self.ca, "cert": issued.certificate, "key": issued.key}
        named = {"ca": "ca.pem", "cert": f"{service}.pem", "key": f"{service}-key.pem"}
        for part, content in contents.items():
            beside = folder / f"{named[part]}.new"
            beside.write_bytes(content)
            beside.rename(folder / named[part])
        return {part: str(folder / name) for part, name in named.items()}


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str | None = "orders"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after a handshake in memory, and one byte each way; raises what either end raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours.do_handshake, theirs.do_handshake]
    for _ in range(20):
        for step in list(waiting):
            try:
                step()
                waiting.remove(step)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            break
    # With TLS 1.3 the client learns only now whether its certificate was taken.
    theirs.write(b"!")
    assert ours.read(1) == b"!"
    return ours, theirs
