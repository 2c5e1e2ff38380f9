"""What `resolve` watches."""

from __future__ import annotations

import pytest

from meshlib.cli.watch import Watch, target_of
from meshlib.core.io import Answer
from meshlib.core.uri import parse
from meshlib.discovery import Target
from meshlib.errors import ConfigError


def test_targets() -> None:
    """A discovery URI stands for itself, a name for what naming makes of it."""
    written = target_of("static://10.0.0.1:80", None)
    assert written is not None
    assert written.uri.text == "static://10.0.0.1:80"
    named = target_of("http://orders:81/x", None)
    assert named is not None
    assert (named.uri.text, named.service, named.port) == ("dns://orders:81", "orders:81", 81)
    assert target_of("https://api.example.org", None) is None


def test_unknown_scheme() -> None:
    """The known ones are listed."""
    with pytest.raises(ConfigError, match="known are"):
        target_of("gopher://x", None)


def test_shortest_ttl_of_a_look() -> None:
    """The shortest TTL of one look counts; the next look begins anew."""
    watch = Watch(Target(uri=parse("static://10.0.0.1:80")))
    watch.heard(Answer(ttl=30.0, source="dns"))
    watch.heard(Answer(ttl=5.0, source="hosts"))
    assert (watch.ttl, watch.answered_by) == (5.0, "hosts")
    watch.slept(3.0)
    assert watch.next_look is not None
    assert 0 < watch.next_look <= 3.0
    watch.heard(Answer(ttl=60.0))
    assert watch.ttl == 60.0
