"""PolicySnapshot: immutable."""

import pytest

from meshlib.policy import Document, PolicySnapshot


def test_is_immutable() -> None:
    """What was published does not change."""
    snapshot = PolicySnapshot(Document(), "7", "file:///mesh.toml", 12.5)
    assert (snapshot.version, snapshot.source, snapshot.received) == ("7", "file:///mesh.toml", 12.5)
    with pytest.raises(AttributeError):
        snapshot.version = "8"  # type: ignore[misc]
