"""Key material is checked as a whole before anybody uses it."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from meshlib.core.identity import Identity
from meshlib.errors import ConfigError
from meshlib.security.credentials import Credentials, Where
from meshlib.security.identity import identity_of
from tests.tls import Pki

PKI = Pki()
WHERE = Where("/ca.pem", "/cert.pem", "/key.pem")
ORDERS = PKI.issue("orders")
LOCKED = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
)


def test_what_is_known_of_us() -> None:
    """Names and validity of our own certificate; newer credentials have larger versions."""
    older, newer = Credentials(PKI.identity("orders"), WHERE), Credentials(PKI.identity("orders"), WHERE)
    assert older.names.spiffe_id == "spiffe://mesh.test/orders"
    assert older.version < newer.version
    assert older.begins is not None
    assert older.expires is not None
    assert older.begins < time.time() < older.expires
    assert not older.expired(time.time())
    assert older.expired(older.expires)


def test_nothing_at_all() -> None:
    """Without files there is no certificate, no key, and nothing that could expire."""
    nobody = Credentials(identity_of(b"", b"", b""))
    assert (nobody.chain, nobody.key(), nobody.anchors, nobody.expires) == (b"", b"", b"", None)
    assert not nobody.expired(1e12)


@pytest.mark.parametrize(
    ("ca", "cert", "key", "said"),
    [
        (b"junk", ORDERS.certificate, ORDERS.key, "/ca.pem: holds no certificates in PEM"),
        (ORDERS.key, ORDERS.certificate, ORDERS.key, "/ca.pem: holds no certificates in PEM"),
        (PKI.ca, b"junk", ORDERS.key, "/cert.pem: holds no certificates in PEM"),
        (PKI.ca, ORDERS.certificate[:-60], ORDERS.key, "/cert.pem: holds no certificates in PEM"),
        (PKI.ca, ORDERS.certificate, b"junk", "/key.pem: holds no private key in PEM"),
        (PKI.ca, ORDERS.certificate, LOCKED, "/key.pem: the private key is encrypted"),
        (
            PKI.ca,
            ORDERS.certificate,
            PKI.issue("orders").key,
            "/key.pem: is not the private key of the certificate",
        ),
        (
            PKI.ca,
            PKI.ca + ORDERS.certificate,
            ORDERS.key,
            "/key.pem: is not the private key of the certificate",
        ),
    ],
)
def test_what_is_wrong_is_said(ca: bytes, cert: bytes, key: bytes, said: str) -> None:
    """By the file's name, without a word of what is in it."""
    with pytest.raises(ConfigError) as caught:
        Credentials(identity_of(ca, cert, key), WHERE)
    assert said in str(caught.value)
    assert "MIG" not in str(caught.value)


def test_key_in_the_certificates_file() -> None:
    """One file may hold both; the chain then holds no key and every certificate once."""
    both = Credentials(identity_of(PKI.ca, ORDERS.key + ORDERS.certificate, b""), Where(cert="/both.pem"))
    assert both.chain == ORDERS.certificate
    assert b"PRIVATE KEY" in both.key()
    assert b"ENCRYPTED" in both.key("secret")


def test_secrets_do_not_show() -> None:
    """Neither in repr nor as text."""
    held = Credentials(PKI.identity("orders"), WHERE)
    assert "BEGIN" not in f"{held!r}{held}{held.identity!r}"


def test_parts_without_files_have_names() -> None:
    """An identity that comes from elsewhere is spoken of by its parts."""
    with pytest.raises(ConfigError, match=r"^ca: holds no certificates"):
        Credentials(Identity(version="1", trust=b"junk"))
