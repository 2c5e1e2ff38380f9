"""From what a user writes to a runtime."""

import pytest

from meshlib.errors import ConfigError
from meshlib.policy import Policy
from meshlib.runtime.build import build, load_file


def test_nothing_given_is_the_defaults():
    """No document, no policy: version 0 of "defaults"."""
    policy = build(telemetry=False).policy
    assert (policy.version, policy.source) == ("0", "defaults")


def test_a_policy_or_a_mapping_is_code():
    """Both say the same thing."""
    by_policy = build(policy=Policy(timeout=2.0), telemetry=False).policy
    by_mapping = build(policy={"timeout": 2.0}, telemetry=False).policy
    assert by_policy.document == by_mapping.document
    assert by_policy.source == "code"


def test_a_document_is_read_from_its_path(tmp_path):
    """Path and file:// URI give the same snapshot, with a digest as its version."""
    path = tmp_path / "meshlib.toml"
    path.write_text('version = 1\n[services.orders]\ndiscovery = "static://a:1"\n')
    snapshot = build(config=path, telemetry=False).policy
    assert snapshot.source == f"file://{path}"
    assert len(snapshot.version) == 12
    assert build(policy=f"file://{path}", telemetry=False).policy.document == snapshot.document


def test_two_sources_are_a_contradiction(tmp_path):
    """A file and a policy cannot both be the policy."""
    with pytest.raises(ConfigError, match="twice"):
        build(config=tmp_path / "a.toml", policy={"timeout": 1})


def test_what_cannot_be_had_is_said(tmp_path):
    """A missing file, another ending, another scheme and a policy server are refused by name."""
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read"):
        load_file(tmp_path / "none.toml")
    (tmp_path / "a.ini").write_text("")
    with pytest.raises(ConfigError, match=r"a.ini: a document's name ends in"):
        load_file(tmp_path / "a.ini")
    with pytest.raises(ConfigError, match="read from file://"):
        build(policy="https://policy")
    with pytest.raises(ConfigError, match="not supported by this version"):
        build(policy_server="https://policy")


def test_a_wrong_discovery_is_refused_at_once():
    """The URI is parsed before anything is built on it."""
    with pytest.raises(ConfigError, match="not a URI"):
        build(discovery="orders")
