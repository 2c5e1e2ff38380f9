"""Files as an identity source: what they hold, when they change, while they are being replaced."""

from __future__ import annotations

import pytest

from meshlib.errors import ConfigError
from meshlib.security.credentials import Credentials, Where
from meshlib.security.identity import FileIdentity, identity_of, read_now
from meshlib.testing import ScriptedIO
from tests.tls import Pki

PKI = Pki()
FILES = Where("/ca", "/cert", "/key")
OLD, NEW = PKI.issue("web"), PKI.issue("web")


def watched(io, looks):
    """The versions published in so many looks, with checks as a rotation makes them."""
    seen = []

    def watch(publish):
        def checked(identity):
            Credentials(identity, FILES)
            publish(identity)

        return FileIdentity(FILES, io).watch(checked)

    seen = io.run(watch, looks)
    return [identity.chain for identity in seen]


def test_publishes_what_is_there():
    """At every look, a second apart; whether it is new is the rotation's business."""
    io = ScriptedIO()
    io.on_read("/ca", PKI.ca)
    io.on_read("/cert", OLD.certificate, OLD.certificate, NEW.certificate)
    io.on_read("/key", OLD.key, OLD.key, NEW.key)
    assert watched(io, 3) == [OLD.certificate, NEW.certificate, NEW.certificate]
    assert io.sleeps[:2] == [1.0, 1.0]


def test_one_file_after_the_other():
    """A moment of a pair that does not match is not an error, nor is a file that is away while it is replaced."""
    io = ScriptedIO()
    io.on_read("/ca", PKI.ca)
    io.on_read("/cert", *[OLD.certificate] * 2, *[NEW.certificate] * 4, FileNotFoundError(), NEW.certificate)
    io.on_read("/key", *[OLD.key] * 4, NEW.key)
    assert watched(io, 3) == [OLD.certificate, NEW.certificate, NEW.certificate]


def test_no_part_of_an_old_identity_in_a_new_one():
    """Files that change between the first and the last that is read are read again at the next look."""
    io = ScriptedIO()
    other = PKI.ca + Pki().ca
    io.on_read("/ca", *[PKI.ca] * 3, other)
    io.on_read("/cert", *[OLD.certificate] * 2, NEW.certificate)
    io.on_read("/key", *[OLD.key] * 2, NEW.key)
    seen = io.run(lambda publish: FileIdentity(FILES, io).watch(publish), 2)
    assert [(one.trust, one.chain) for one in seen] == [(PKI.ca, OLD.certificate), (other, NEW.certificate)]
    assert len(io.sleeps) == 3


def test_what_stays_wrong_is_said():
    """At the second look."""
    io = ScriptedIO()
    io.on_read("/ca", PKI.ca)
    io.on_read("/cert", *[OLD.certificate] * 2, NEW.certificate)
    io.on_read("/key", OLD.key)
    with pytest.raises(ConfigError, match="/key: is not the private key"):
        watched(io, 2)
    assert len(io.sleeps) == 2


def test_reading_now():
    """Absent files are no parts; unreadable ones are named with the system's reason."""
    assert read_now(Where(), lambda path: b"never") == identity_of(b"", b"", b"")
    assert read_now(Where(ca="/ca"), {"/ca": b"x"}.__getitem__).trust == b"x"

    def gone(path):
        raise PermissionError(13, "Permission denied", path)

    with pytest.raises(ConfigError, match=r"^/cert: cannot be read: Permission denied$"):
        read_now(Where(cert="/cert"), gone)


def test_version_follows_every_part():
    """Any change is a new version, also one that moves a byte between parts."""
    versions = {
        identity_of(*parts).version
        for parts in [(b"a", b"b", b""), (b"a", b"b", b"c"), (b"ab", b"", b""), (b"", b"ab", b"")]
    }
    assert len(versions) == 4
    assert identity_of(b"", b"cert+key", b"").key == b"cert+key"
