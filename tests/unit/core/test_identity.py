"""Identity: key material that never shows itself."""

from __future__ import annotations

from meshlib.core.identity import NOBODY, Caller, Identity


def test_repr_hides_the_key() -> None:
    """Neither key nor certificates appear."""
    identity = Identity(version="7", key=b"SECRET", chain=b"CHAIN", trust=b"TRUST", spiffe_id="spiffe://a/b")
    assert repr(identity) == f"{identity}" == "Identity(version='7', spiffe_id='spiffe://a/b')"


def test_caller() -> None:
    """Nobody in particular by default."""
    assert Caller() == NOBODY
    assert Caller(service="web", zone="eu-1a", labels={"version": "v7"}).zone == "eu-1a"
