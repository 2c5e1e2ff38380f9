"""file:///path: a policy document on disk, read again when its content changes (Kubernetes' symlink swaps included)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from os.path import splitext

from meshlib.core.io import IO
from meshlib.core.uri import URI
from meshlib.errors import ConfigError
from meshlib.policy import PolicySnapshot, load
from meshlib.policy.locate import Format
from meshlib.providers.contract import Publish

__all__ = ["FILE", "FilePolicy", "snapshot_of"]

_EVERY = 1.0
_FORMATS: Mapping[str, Format] = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}


class FilePolicy:
    """Looks at the file once a second; the same content is not published twice."""

    async def watch(self, uri: URI, io: IO, publish: Publish) -> None:
        """Publish at once and after each change of the content."""
        seen: bytes | None = None
        while True:
            content = await io.read(uri.path)
            if content is not seen and content != seen:
                publish(snapshot_of(uri.path, content, io.now()))
            seen = content
            await io.sleep(_EVERY)


FILE = FilePolicy()


def snapshot_of(path: str, content: bytes, now: float) -> PolicySnapshot:
    """A file's content as a snapshot; its version is a digest. ConfigError names every problem with its line."""
    kind = _FORMATS.get(splitext(path)[1].lower())
    if kind is None:
        raise ConfigError(f"{path}: a document's name ends in .toml, .json, .yaml or .yml")
    return PolicySnapshot(load(content, kind, path), sha256(content).hexdigest()[:12], f"file://{path}", now)
