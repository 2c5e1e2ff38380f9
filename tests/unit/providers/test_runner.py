"""Between a provider's errors and the policy in force."""

from meshlib.core.uri import parse
from meshlib.errors import ConfigError
from meshlib.policy import Document, PolicySnapshot
from meshlib.providers import PROVIDERS, run
from meshlib.testing import ScriptedIO

URI = parse("file:///etc/meshlib.toml")


class Scripted:
    """Publishes or raises, one entry a start."""

    def __init__(self, *script):
        self.script = list(script)
        self.starts = []

    async def watch(self, uri, io, publish):
        """The next entry."""
        self.starts.append(io.now())
        entry = self.script.pop(0)
        if isinstance(entry, Exception):
            raise entry
        publish(entry)
        if self.script:
            raise OSError("the connection was lost")


def ran(provider, refuse=False):
    """Run to the provider's end; what was taken and what was said."""
    io, taken, said = ScriptedIO(random=lambda: 1.0), [], []

    def publish(snapshot):
        if refuse and not taken:
            taken.append(None)
            raise ConfigError("services.orders: no")
        taken.append(snapshot)

    with io.watching(lambda _: run(provider, URI, io, publish, said.append)) as watching:
        watching.advance(1000)
        assert watching.done
    return taken, said


def test_errors_back_off_and_a_success_starts_over():
    """1 s, 2 s, 4 s; told once each; a document taken says that all is well."""
    good = PolicySnapshot(Document())
    provider = Scripted(OSError("a"), OSError("b"), OSError("c"), good, good)
    taken, said = ran(provider)
    pauses = [later - earlier for earlier, later in zip(provider.starts, provider.starts[1:], strict=False)]
    assert pauses == [1.0, 2.0, 4.0, 1.0]
    assert taken == [good, good]
    assert said[-1] == ""
    assert "OSError: a" in said[0]


def test_a_wrong_document_is_looked_at_again_every_second():
    """It is mended on this machine; the same sentence is said once."""
    provider = Scripted(ConfigError("a.toml:1: x"), ConfigError("a.toml:1: x"), PolicySnapshot(Document()))
    _, said = ran(provider)
    assert [
        later - earlier for earlier, later in zip(provider.starts, provider.starts[1:], strict=False)
    ] == [1, 1]
    assert said == ["a.toml:1: x", ""]


def test_a_refusal_by_the_mesh_is_reported_like_a_wrong_document():
    """What does not compile changes nothing and is said."""
    good = PolicySnapshot(Document())
    _, said = ran(Scripted(good, good), refuse=True)
    assert said == ["services.orders: no", ""]


def test_file_is_registered():
    """One line registers a provider."""
    assert list(PROVIDERS) == ["file"]
    assert PROVIDERS.get("file").watch
