"""Folder: where the authority and what it issued lie. Keys are readable by their owner only; files are replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

from meshlib.errors import ConfigError
from meshlib.security.authority import Authority, Issued

__all__ = ["Folder"]


class Folder:
    """`ca.pem` and `ca-key.pem`; for each service `<service>.pem` and `<service>-key.pem`. ConfigError when files fail."""

    def __init__(self, path: str) -> None:
        self.path: Path = Path(path).absolute()

    @property
    def ca(self) -> Path:
        """The authority's certificate: what everybody trusts."""
        return self.path / "ca.pem"

    def of(self, service: str) -> tuple[Path, Path]:
        """The certificate and the key of a service."""
        stem = service.replace("/", "-")
        return self.path / f"{stem}.pem", self.path / f"{stem}-key.pem"

    def keep(self, authority: Authority, *, force: bool) -> None:
        """Write a new authority; an old one is replaced only with `force`, because nothing it signed is believed then."""
        key = self.path / "ca-key.pem"
        if not force and (self.ca.exists() or key.exists()):
            raise ConfigError(
                f"{self.path}: there is an authority already: --force makes a new one in its place"
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be made: {error.strerror}") from error
        _replace(key, authority.key, 0o600)
        _replace(self.ca, authority.certificate, 0o644)

    def authority(self) -> Authority:
        """The authority in this folder."""
        try:
            return Authority(self.ca.read_bytes(), (self.path / "ca-key.pem").read_bytes())
        except OSError as error:
            text = f"{error.filename}: cannot be read: {error.strerror}; `meshlib ca init` makes an authority"
            raise ConfigError(text) from error

    def put(self, service: str, issued: Issued) -> tuple[Path, Path]:
        """Write what was issued to a service, over what was there."""
        certificate, key = self.of(service)
        if certificate == self.ca or key.name == "ca-key.pem":
            raise ConfigError(
                f"{service!r} would take the place of the authority's own files: use another name"
            )
        _replace(key, issued.key, 0o600)
        _replace(certificate, issued.certificate, 0o644)
        return certificate, key


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Never half a file, and a key is never readable by others, not even for a moment."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
