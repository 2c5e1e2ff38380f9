"""The throw-away authority: what it signs holds up, and what it is asked is checked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from meshlib.errors import ConfigError
from meshlib.security.authority import Authority
from tests.tls import NOW, Pki

DAY = timedelta(days=1)


def test_what_it_issues():
    """A short-lived leaf for both ends with the one URI that is its identity."""
    authority = Authority.new("mesh.test", NOW, 30 * DAY)
    issued = Authority(authority.certificate, authority.key).issue("ns/a/orders", ["orders", "::1"], NOW, DAY)
    leaf = x509.load_pem_x509_certificate(issued.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://mesh.test/ns/a/orders"]
    assert names.get_values_for_type(x509.DNSName) == ["orders"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_after_utc == issued.expires.replace(microsecond=0)
    assert leaf.not_valid_before_utc < NOW
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    assert repr(issued).startswith("Issued('spiffe://mesh.test/ns/a/orders', expires=")


def test_nothing_outlives_the_authority():
    """A leaf ends with it at the latest."""
    authority = Authority.new("mesh.test", NOW, DAY)
    assert authority.issue("orders", [], NOW, 10 * DAY).expires <= NOW + DAY


@pytest.mark.parametrize("domain", ["", "Mesh", "a/b", "a b", "x" * 256])
def test_trust_domains(domain):
    """As SPIFFE has them."""
    with pytest.raises(ConfigError, match="a trust domain is"):
        Authority.new(domain, NOW, DAY)


@pytest.mark.parametrize(
    ("service", "name", "said"),
    [
        ("", "a", "a service's name is"),
        ("a b", "a", "a service's name is"),
        ("orders", "Ünder", "a DNS name in ASCII"),
    ],
)
def test_what_cannot_be_issued(service, name, said):
    """Names that would not be one."""
    with pytest.raises(ConfigError, match=said):
        Pki().authority.issue(service, [name], NOW, DAY)


def test_other_files_are_no_authority():
    """Junk, and certificates of somebody else."""
    pki = Pki()
    orders = pki.issue("orders")
    for certificate, key in [(b"junk", pki.authority.key), (pki.ca, b"junk")]:
        with pytest.raises(ConfigError, match="no authority that"):
            Authority(certificate, key)
    assert b"PRIVATE" not in repr(orders).encode()
