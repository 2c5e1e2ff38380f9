"""Credentials: an Identity that has been checked, and the SSL contexts made of it.

A context is made once for each kind of use and never changed after its first handshake; rotation makes new Credentials, so
whoever still holds an old context goes on with it undisturbed.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from meshlib.core.identity import Identity
from meshlib.errors import ConfigError
from meshlib.security.verify import Presented
from meshlib.security.version import next_version

__all__ = ["Credentials", "Where"]


class Where(NamedTuple):
    """What the parts are called in errors, and the file they came from when they came from files."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


NOWHERE = Where()


class Credentials:
    """Checked when built: ConfigError says which part is wrong and why, and never shows any of it. Immutable.

    `expires` and `begins` are seconds since the epoch of our own certificate, None without one; `names` is what it says.
    """

    __slots__ = ("_key", "anchors", "begins", "chain", "expires", "identity", "names", "version")

    def __init__(self, identity: Identity, where: Where = NOWHERE) -> None:
        self.identity: Identity = identity
        self.version: int = next_version()
        self.anchors: bytes = b"".join(
            one.public_bytes(Encoding.DER) for one in _certificates(identity.trust, where.ca or "ca")
        )
        self.begins: float | None = None
        self.expires: float | None = None
        self.names: Presented = Presented()
        self._key: PrivateKeyTypes | None = None
        chain = _certificates(identity.chain, where.cert or "cert")
        self.chain: bytes = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
        if chain:
            self._key = _private_key(identity.key, where)
            _require_pair(chain[0], self._key, where)
            self.begins = chain[0].not_valid_before_utc.timestamp()
            self.expires = chain[0].not_valid_after_utc.timestamp()
            self.names = Presented.of(chain[0].public_bytes(Encoding.DER))

    def __repr__(self) -> str:
        return f"Credentials({self.identity!r}, version={self.version})"

    def key(self, password: str | None = None) -> bytes:
        """The private key in PEM (PKCS 8), encrypted when there is a password; empty without one."""
        if self._key is None:
            return b""
        form: KeySerializationEncryption = (
            NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        )
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)

    def expired(self, wall: float) -> bool:
        """Whether our own certificate is no longer valid."""
        return self.expires is not None and wall >= self.expires


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    if not pem:
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        # The parser's own text may quote what it met, and somebody may have given the key's file here.
        raise ConfigError(f"{name}: holds no certificates in PEM, or one that cannot be read") from None


def _require_pair(leaf: x509.Certificate, key: PrivateKeyTypes, where: Where) -> None:
    name = where.key or where.cert or "key"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        ours, theirs = key.public_key().public_bytes(*form), leaf.public_key().public_bytes(*form)
    except ValueError as error:
        raise ConfigError(f"{where.cert or 'cert'}: has a key of a kind that is not supported") from error
    if ours != theirs:
        raise ConfigError(f"{name}: is not the private key of the certificate in {where.cert or 'cert'}")


def _private_key(pem: bytes, where: Where) -> PrivateKeyTypes:
    name = where.key or where.cert or "key"
    try:
        return load_pem_private_key(pem, None)
    except TypeError:
        raise ConfigError(f"{name}: the private key is encrypted: give one without a password") from None
    except ValueError:
        raise ConfigError(f"{name}: holds no private key in PEM, or one that cannot be read") from None
