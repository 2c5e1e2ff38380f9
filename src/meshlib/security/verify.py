"""Verify: what a peer's certificate says it is, compared with what is accepted of it.

The chain has been verified by OpenSSL when this is asked. A SPIFFE ID counts only when it is the certificate's one URI name
(SPIFFE X509-SVID, section 2): with two, a certificate could be one workload to us and another to the next reader.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from meshlib.errors import MeshError

__all__ = ["Accepted", "PeerIdentityError", "Presented"]

_SPIFFE = "spiffe://"


class PeerIdentityError(MeshError, ssl.SSLError):
    """The peer proved who it is, and it is not who we asked for. Nothing was sent.

    `expected` and `presented` are the identities as text; `target` is the service. Also an ssl.SSLError, so that whoever
    handles failed handshakes handles this.
    """

    retry_safe: bool | None = True

    def __init__(
        self, message: str = "", *, expected: Iterable[str] = (), presented: Iterable[str] = (), **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.expected: tuple[str, ...] = tuple(expected)
        self.presented: tuple[str, ...] = tuple(presented)

    def __str__(self) -> str:
        return self.message

    def facts(self) -> dict[str, Any]:
        """The attributes as a dict."""
        return {**super().facts(), "expected": self.expected, "presented": self.presented}


class Presented:
    """The names in one certificate. Immutable."""

    __slots__ = ("addresses", "dns", "uris")

    def __init__(
        self, dns: Iterable[str] = (), addresses: Iterable[str] = (), uris: Iterable[str] = ()
    ) -> None:
        self.dns: tuple[str, ...] = tuple(name.lower().rstrip(".") for name in dns)
        self.addresses: tuple[str, ...] = tuple(addresses)
        self.uris: tuple[str, ...] = tuple(uris)

    @classmethod
    def of(cls, der: bytes | None) -> Presented:
        """The names of a certificate as `getpeercert(binary_form=True)` gives it; none of None or of what cannot be read."""
        from cryptography import x509

        if not der:
            return cls()
        try:
            extensions = x509.load_der_x509_certificate(der).extensions
            names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError, TypeError):
            return cls()
        return cls(
            names.get_values_for_type(x509.DNSName),
            map(str, names.get_values_for_type(x509.IPAddress)),
            names.get_values_for_type(x509.UniformResourceIdentifier),
        )

    @property
    def spiffe_id(self) -> str | None:
        """The one URI name, when it is a SPIFFE ID."""
        if len(self.uris) == 1 and self.uris[0].startswith(_SPIFFE):
            return self.uris[0]
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, URIs first."""
        return (*self.uris, *self.dns, *self.addresses)


class Accepted:
    """Whom we accept: SPIFFE IDs (`spiffe://d/ns/*` accepts all below it) and other names. Immutable, hashable."""

    __slots__ = ("_addresses", "_below", "_dns", "_ids", "_uris", "texts")

    def __init__(self, spiffe_ids: Iterable[str] = (), sans: Iterable[str] = ()) -> None:
        ids, others = tuple(spiffe_ids), tuple(sans)
        self.texts: tuple[str, ...] = (*ids, *others)
        self._ids = frozenset(one for one in ids if not one.endswith("/*"))
        self._below = tuple(one[:-1] for one in ids if one.endswith("/*"))
        self._uris = frozenset(one for one in others if "://" in one)
        found = {one: _address(one) for one in others if "://" not in one}
        self._addresses = frozenset(address for address in found.values() if address is not None)
        self._dns = frozenset(one.lower().rstrip(".") for one, address in found.items() if address is None)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Accepted) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def admits(self, presented: Presented) -> bool:
        """Whether one of the certificate's names is accepted."""
        identity = presented.spiffe_id
        if identity is not None and (identity in self._ids or identity.startswith(self._below or ("\0",))):
            return True
        if not self._uris.isdisjoint(presented.uris) or not self._addresses.isdisjoint(presented.addresses):
            return True
        return any(_covers(name, self._dns) for name in presented.dns)

    def require(self, connection: ssl.SSLObject | ssl.SSLSocket, target: str = "the peer") -> None:
        """PeerIdentityError unless the peer at the other end is accepted. After the handshake, before the first byte."""
        presented = Presented.of(connection.getpeercert(True))
        if not self.admits(presented):
            raise refused(target, self.texts, presented)


def refused(target: str, expected: tuple[str, ...], presented: Presented) -> PeerIdentityError:
    """The error, as a sentence."""
    names = presented.names
    shown = f"is for {_listed(names)}" if names else "names nobody"
    if len(presented.uris) > 1:
        shown += " (more than one URI, so none of them is its SPIFFE ID)"
    text = f"{target}: the peer's certificate {shown}; expected {_listed(expected)}"
    return PeerIdentityError(text, expected=expected, presented=names, target=target)


def _listed(names: tuple[str, ...]) -> str:
    # Names come from the peer: at most so many of them, and on one line.
    shown = ["".join(char if char.isprintable() else "?" for char in name[:200]) for name in names[:8]]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return " or ".join(shown) + more if names else "nothing"


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return None


def _covers(pattern: str, wanted: frozenset[str]) -> bool:
    """RFC 6125 6.4.3: a presented wildcard stands for exactly the left-most label."""
    if pattern in wanted:
        return True
    if not pattern.startswith("*.") or pattern.count(".") < 2:
        return False
    return any(one.partition(".")[2] == pattern[2:] and one.partition(".")[0] for one in wanted)
