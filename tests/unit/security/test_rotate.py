"""Rotation: whole or not at all, never in anybody's way."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from meshlib.errors import ConfigError
from meshlib.security.credentials import Where
from meshlib.security.identity import identity_of
from meshlib.security.rotate import Rotation
from meshlib.security.server import ServerContext
from meshlib.testing import ScriptedIO
from tests.tls import NOW, Pki, handshake

PKI = Pki()
WHERE = Where("/ca.pem", "/web.pem", "/web-key.pem")
START = NOW.timestamp() + 60


class Rotated(Rotation):
    """With a clock to set and ears."""

    __slots__ = ("heard", "now")

    def __init__(self, first=None):
        self.heard = []
        self.now = START
        super().__init__(first or PKI.identity("web"), WHERE, lambda: self.now, self.heard.append)


def test_new_credentials_for_new_connections():
    """The contexts in use are made again before the swap; who holds an old one goes on with it."""
    rotation = Rotated()
    old = rotation.held
    context = old.client(False, ("http/1.1",))
    rotation.offer(PKI.identity("web"))
    assert rotation.version > old.credentials.version
    assert rotation.held._made.keys() == {(False, ("http/1.1",))}
    assert rotation.held.client(False, ("http/1.1",)) is not context
    assert old.client(False, ("http/1.1",)) is context
    assert [facts["version"] for facts in rotation.heard] == [rotation.version]


def test_the_same_again_changes_nothing():
    """Seen again is not rotated."""
    first = PKI.identity("web")
    rotation = Rotated(first)
    held = rotation.held
    rotation.offer(first)
    assert rotation.held is held
    assert rotation.heard == []


@pytest.mark.parametrize(
    "broken",
    [
        identity_of(b"junk", b"", b""),
        identity_of(PKI.ca, PKI.issue("web").certificate, PKI.issue("web").key),
        PKI.identity("web", ago=2, hours=1),
    ],
    ids=["unreadable", "mixed", "expired"],
)
def test_a_broken_one_is_refused(broken):
    """The one in force stays."""
    rotation = Rotated()
    held = rotation.held
    with pytest.raises(ConfigError):
        rotation.offer(broken)
    assert rotation.held is held


def test_an_expired_one_replaces_an_expired_one():
    """Then there is nothing to keep; and that it has expired is said."""
    rotation = Rotated(PKI.identity("web", ago=2, hours=1))
    rotation.offer(PKI.identity("web", ago=1.5, hours=1))
    assert "has expired" in rotation.stale()


def test_time_goes_by():
    """A certificate that nobody renews is spoken of, and so is one from the future."""
    rotation = Rotated()
    assert rotation.stale() == ""
    assert 3000 < rotation.facts()["expires"] < 3600
    rotation.now += 3600
    assert "/web.pem: the certificate has expired" in rotation.stale()
    rotation.now -= 2 * 86400
    assert "not valid yet" in rotation.stale()


def test_problems_are_told_once():
    """And that they are over, once."""
    rotation = Rotated()
    for problem in ("a", "a", "b", "", ""):
        rotation.report(problem)
    assert [facts["error"] for facts in rotation.heard] == ["a", "b", ""]
    assert rotation.problem == ""


def test_trust_rotates_too():
    """A new authority is believed and the old one no more."""
    other = Pki("mesh.test")
    rotation, theirs = Rotated(), Rotated(PKI.identity("orders"))
    server = ServerContext(lambda: theirs.credentials)
    handshake(rotation.held.client(True, ()), server)
    theirs.offer(other.identity("orders"))
    with pytest.raises(ssl.SSLError):
        handshake(rotation.held.client(True, ()), server)
    rotation.offer(other.identity("web"))
    handshake(rotation.held.client(True, ()), server)


def test_following_a_source():
    """Errors are reported, the source is started again, and a good identity clears them."""
    rotation, io = Rotated(), ScriptedIO()
    good = PKI.identity("web")
    script = [ConfigError("wrong"), ValueError("odd"), good, None]

    async def watch(publish):
        step = script.pop(0)
        if isinstance(step, Exception):
            raise step
        if step is not None:
            publish(step)
            raise OSError("gone")

    asyncio.run(rotation.follow(watch, io))
    assert [facts.get("error") for facts in rotation.heard] == [
        "wrong",
        "/web.pem: ValueError: odd",
        None,
        "",
        "/web.pem: OSError: gone",
    ]
    assert rotation.credentials.identity is good
    assert io.sleeps[0] == 1.0
    assert all(0.5 <= pause <= 1.0 for pause in io.sleeps[1:])


def test_names_for_people():
    """By the file that people know."""
    assert Rotated().name == "/web.pem"
    assert Rotation(identity_of(b"", b"", b""), Where(), lambda: 0.0).name == "the default authorities"
