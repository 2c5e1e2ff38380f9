"""Registry: members by name, imported when asked for."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.core.registry import Registry
from meshlib.errors import ConfigError


class Point:
    name = "theirs"

    @staticmethod
    def load() -> type[dict[str, str]]:
        return dict


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    def points(group: str) -> list[Point]:
        assert group == "meshlib.things"
        return [Point()]

    monkeypatch.setattr("importlib.metadata.entry_points", points)
    found: Registry[Any] = Registry("thing", "meshlib.things")
    found.register("object", 7)
    found.register("text", "collections:OrderedDict")
    return found


def test_look_up(registry: Registry[Any]) -> None:
    """Objects, import texts and entry points; the second look-up is the same."""
    import collections

    for _ in range(2):
        assert registry.get("object") == 7
        assert registry.get("text") is collections.OrderedDict
        assert registry.get("theirs") is dict


def test_names(registry: Registry[Any]) -> None:
    """All that can be had; iterating only what is registered."""
    assert registry.names() == ["object", "text", "theirs"]
    assert list(registry) == ["object", "text"]


def test_unknown(registry: Registry[Any]) -> None:
    """The known ones are listed, the nearest suggested."""
    with pytest.raises(ConfigError) as caught:
        registry.get("objekt")
    assert (
        str(caught.value) == "unknown thing 'objekt': known are object, text, theirs; did you mean 'object'?"
    )
    with pytest.raises(ConfigError) as caught:
        registry.get("zzz")
    assert str(caught.value).endswith("theirs")


def test_replacing(registry: Registry[Any]) -> None:
    """The last registration holds."""
    registry.register("object", 8)
    assert registry.get("object") == 8
