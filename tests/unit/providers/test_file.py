"""A policy document on disk, followed."""

import pytest

from meshlib.core.uri import parse
from meshlib.errors import ConfigError
from meshlib.providers.file import FILE, snapshot_of
from meshlib.testing import ScriptedIO

URI = parse("file:///etc/meshlib.toml")


def test_each_content_is_published_once():
    """The first content at once, the next within a second of its change, an unchanged one never again."""
    io = ScriptedIO()
    same = b"version = 1\n[defaults]\ntimeout = 2\n"
    io.on_read("/etc/meshlib.toml", same, same, same, b"version = 1\n[defaults]\ntimeout = 3\n")
    with io.watching(lambda publish: FILE.watch(URI, io, publish)) as watching:
        watching.until(2)
        first, second = watching.published
        assert watching.times[1] - watching.times[0] == pytest.approx(3.0)
        watching.advance(10)
        assert len(watching.published) == 2
    assert (first.document.defaults.layer["timeout"], second.document.defaults.layer["timeout"]) == (2, 3)
    assert first.version != second.version
    assert first.source == "file:///etc/meshlib.toml"


def test_the_ending_says_the_format():
    """JSON is JSON; an ending that nobody knows is refused by name."""
    assert snapshot_of("a.json", b'{"version": 1}', 0.0).document.version == 1
    with pytest.raises(ConfigError, match=r"ends in .toml, .json, .yaml"):
        snapshot_of("a.conf", b"", 0.0)
