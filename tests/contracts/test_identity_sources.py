"""What every identity source owes to the rotation that follows it."""

from __future__ import annotations

import asyncio

import pytest

from meshlib.core.identity import Identity
from meshlib.security.credentials import Credentials, Where
from meshlib.security.identity import FileIdentity
from meshlib.testing import ScriptedIO
from tests.tls import Pki

PKI = Pki()
OLD, NEW = PKI.issue("web"), PKI.issue("web")


class FileCase:
    """Files, scripted: what they hold, for two looks each, because a file may be read while it is written."""

    def __init__(self, *identities):
        self.io = ScriptedIO()
        self.io.on_read("/ca", PKI.ca)
        twice = [one for one in identities for _ in range(2)]
        self.io.on_read("/cert", *(one.certificate if one else FileNotFoundError() for one in twice))
        self.io.on_read("/key", *(one.key if one else b"" for one in twice))

    def watch(self, publish):
        """The coroutine under test."""
        return FileIdentity(Where("/ca", "/cert", "/key"), self.io).watch(publish)


CASES = {"file": FileCase}


@pytest.fixture(params=CASES)
def case(request):
    """One kind of source; a new one joins by a line in `CASES`."""
    return CASES[request.param]


def test_publishes_sound_identities_and_each_new_one(case):
    """Whole, usable, and with another version whenever anything changed."""
    one = case(OLD, NEW)
    seen = one.io.run(one.watch, 3)
    assert all(isinstance(identity, Identity) for identity in seen)
    assert [Credentials(identity).chain for identity in seen[:2]] == [OLD.certificate, NEW.certificate]
    assert seen[0].version != seen[1].version
    assert seen[1].version == seen[2].version


def test_lets_errors_out(case):
    """What does not go away by itself is the runner's to report; nothing is published in its place."""
    one = case(None)
    published = []
    with pytest.raises(Exception, match=r".+"):
        asyncio.run(asyncio.wait_for(one.watch(published.append), 5))
    assert published == []


def test_ends_when_it_is_cancelled(case):
    """At once, wherever it is."""
    one = case(OLD)

    async def cancelled():
        task = asyncio.ensure_future(one.watch(lambda identity: task.cancel()))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_secrets_stay_inside(case):
    """An Identity may land in any log."""
    one = case(OLD)
    assert "BEGIN" not in repr(one.io.run(one.watch, 1))
