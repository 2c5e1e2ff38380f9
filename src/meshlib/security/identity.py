"""FileIdentity: key material in PEM files, read again when they change (renames and Kubernetes' symlink swaps included)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from meshlib.core.identity import Identity
from meshlib.core.io import IO
from meshlib.errors import ConfigError
from meshlib.security.credentials import Where

__all__ = ["EVERY", "FileIdentity", "identity_of", "read_now"]

EVERY = 1.0
"""Seconds between two looks at the files."""


class FileIdentity:
    """An `core.identity.IdentitySource` over up to three files: authorities, certificate with its chain, private key.

    Files that are replaced one after the other are for a moment a pair that does not match, or not there: only what is
    wrong at two looks in a row is let out, so a rotation is not an error whichever way it is done. What is new is read twice: a
    change between the first file and the last would mix the old authorities with the new certificate.
    """

    def __init__(self, files: Where, io: IO, every: float = EVERY) -> None:
        self.files: Where = files
        self._io = io
        self._every = every

    async def watch(self, publish: Callable[[Identity], None]) -> None:
        """Publish the present identity and each new one, until cancelled. ConfigError for files that are wrong."""
        wrong_before, known = False, ""
        while True:
            try:
                found = await self._found()
                if found.version == known or found.version == (await self._found()).version:
                    known = found.version
                    publish(found)
                wrong_before = False
            except ConfigError:
                if wrong_before:
                    raise
                wrong_before = True
            await self._io.sleep(self._every)

    async def _found(self) -> Identity:
        return identity_of(*[await self._read(path) for path in self.files])

    async def _read(self, path: str | None) -> bytes:
        if path is None:
            return b""
        try:
            return await self._io.read(path)
        except OSError as error:
            raise _unreadable(path, error) from error


def read_now(files: Where, read: Callable[[str], bytes]) -> Identity:
    """The identity in the files at this moment, by a `read` that may block. ConfigError when one cannot be read."""
    contents = []
    for path in files:
        try:
            contents.append(b"" if path is None else read(path))
        except OSError as error:
            raise _unreadable(path or "", error) from error
    return identity_of(*contents)


def identity_of(ca: bytes, cert: bytes, key: bytes) -> Identity:
    """The files' content as an identity. Without a key's file the key is in the certificate's. Not checked here."""
    digest = sha256()
    for part in (ca, cert, key):
        digest.update(len(part).to_bytes(8, "big") + part)
    return Identity(version=digest.hexdigest()[:16], trust=ca, chain=cert, key=key or cert)


def _unreadable(path: str, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: cannot be read: {error.strerror or type(error).__name__}")
