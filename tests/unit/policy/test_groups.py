"""The groups without an algorithm: their defaults and what types cannot say."""

import pytest

from meshlib.errors import ConfigError
from meshlib.policy.groups import ConnectionOptions, HedgeOptions, MeshOptions, TlsOptions


def test_defaults() -> None:
    """The defaults of the design."""
    connections = ConnectionOptions()
    assert (connections.max, connections.idle, connections.max_age, connections.max_age_jitter) == (
        1024,
        55,
        600,
        0.2,
    )
    assert (MeshOptions().unknown, MeshOptions().first_policy_wait) == ("auto", 1.0)
    assert HedgeOptions(delay="20ms").delay == 0.02


@pytest.mark.parametrize("key", ["discovery", "policy_server"])
def test_uris_are_parsed(key: str) -> None:
    """A URI that does not parse is refused without its secrets."""
    assert MeshOptions(**{key: "dns://"})
    with pytest.raises(ConfigError, match=f"mesh.{key}: ") as caught:
        MeshOptions(**{key: "https://u:s3cret@h"})
    assert "s3cret" not in str(caught.value)


def test_keys_are_files() -> None:
    """Key material in a document is refused, and not repeated."""
    with pytest.raises(ConfigError, match="the path of a PEM file") as caught:
        TlsOptions(key="-----BEGIN PRIVATE KEY----- s3cret", spiffe_ids=["orders"])
    assert "s3cret" not in str(caught.value)
    assert "expected identities such as spiffe://domain/path, got 'orders'" in str(caught.value)
    assert TlsOptions(key="/run/key.pem", spiffe_ids=["spiffe://example/orders"]).mode == "auto"
