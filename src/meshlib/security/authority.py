"""Authority: a throw-away certificate authority, to try mutual TLS with and for tests. Not for production: its key lies in a
file, and nothing can be revoked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshlib.errors import ConfigError
from meshlib.policy.tls import SPIFFE_ID

__all__ = ["Authority", "Issued"]

# Clocks of two machines are seldom further apart.
_SKEW = timedelta(minutes=5)


class Issued:
    """A certificate and its private key, in PEM. The key never shows itself."""

    __slots__ = ("certificate", "expires", "key", "spiffe_id")

    def __init__(self, certificate: bytes, key: bytes, expires: datetime, spiffe_id: str) -> None:
        self.certificate: bytes = certificate
        self.key: bytes = key
        self.expires: datetime = expires
        self.spiffe_id: str = spiffe_id

    def __repr__(self) -> str:
        return f"Issued({self.spiffe_id!r}, expires={self.expires:%Y-%m-%dT%H:%M:%SZ})"


class Authority:
    """Signs short-lived certificates with P-256 keys in one SPIFFE trust domain. `certificate` and `key` are its own, PEM."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate)
            signer = load_pem_private_key(key, None)
            names = self._certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            identity = names.get_values_for_type(x509.UniformResourceIdentifier)[0]
        except (ValueError, TypeError, IndexError, x509.ExtensionNotFound):
            raise ConfigError("this is no authority that `meshlib ca init` made") from None
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise ConfigError("this is no authority that `meshlib ca init` made")
        self._signer = signer
        self.trust_domain: str = identity.removeprefix("spiffe://")
        self.certificate: bytes = certificate
        self.key: bytes = key

    @classmethod
    def new(cls, trust_domain: str, now: datetime, valid: timedelta) -> Authority:
        """A new one; ConfigError for a trust domain that is none."""
        identity = f"spiffe://{trust_domain}"
        if "/" in trust_domain or not SPIFFE_ID.fullmatch(identity):
            raise ConfigError(
                f"a trust domain is lower-case letters, digits, dots, dashes, got {trust_domain!r}"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(f"meshlib throw-away CA of {trust_domain}"[:64])
        builder = _builder(subject, subject, key.public_key(), key.public_key(), now, now + valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
        return cls(certificate.public_bytes(Encoding.PEM), _pem(key))

    def issue(self, service: str, names: Iterable[str], now: datetime, valid: timedelta) -> Issued:
        """A certificate for `spiffe://<trust domain>/<service>` with these DNS names and addresses, for both ends of TLS.

        It never outlives the authority. ConfigError for a service that is no SPIFFE path.
        """
        identity = f"spiffe://{self.trust_domain}/{service}"
        if not SPIFFE_ID.fullmatch(identity):
            raise ConfigError(
                f"a service's name is letters, digits, dots, dashes and slashes, got {service!r}"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + valid, self._certificate.not_valid_after_utc)
        issuer, signer = self._certificate.subject, self._signer
        builder = _builder(_subject(service[:64]), issuer, key.public_key(), signer.public_key(), now, until)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(both, critical=False)
        known: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity), *map(_name, names)]
        builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        return Issued(certificate.public_bytes(Encoding.PEM), _pem(key), until, identity)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
    begins = min(now, until) - _SKEW
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number(), begins, until)
    return builder.add_extension(own, critical=False).add_extension(above, critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError:
        raise ConfigError(f"expected a DNS name in ASCII or an address, got {text!r}") from None


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
