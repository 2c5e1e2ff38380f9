"""Context: Credentials to `ssl.SSLContext`s, without the private key ever lying in a file of ours.

OpenSSL through `ssl` loads a key from a path only. Where the system has anonymous memory files (Linux) that is what it gets;
elsewhere a temporary file that holds the key encrypted under a password which never leaves memory.
"""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from meshlib.errors import ConfigError
from meshlib.security.credentials import Credentials
from meshlib.security.session import Sessions

__all__ = ["Contexts", "client_context", "load", "trust"]

Key = tuple[bool, tuple[str, ...]]
"""Whether names are checked, and the ALPN protocols."""


class Contexts:
    """The contexts of one set of credentials for connections that we make, by kind; made at the first use of each.

    Thread-safe. `sessions` is where TLS sessions of these contexts are kept for resumption.
    """

    __slots__ = ("_made", "credentials", "sessions")

    def __init__(self, credentials: Credentials) -> None:
        self.credentials: Credentials = credentials
        self.sessions: Sessions = Sessions()
        self._made: dict[Key, ssl.SSLContext] = {}

    def client(self, by_name: bool, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """The context of this kind. ConfigError when OpenSSL does not take the credentials."""
        context = self._made.get((by_name, alpn))
        if context is None:
            # Two threads may both make one; the same one is kept for both.
            made = client_context(self.credentials, by_name, alpn)
            context = self._made.setdefault((by_name, alpn), made)
        return context

    def like(self, others: Contexts) -> None:
        """Make what `others` had made, and a first one in any case: so that it is known to work."""
        for by_name, alpn in list(others._made) or [(True, ())]:
            self.client(by_name, alpn)


def client_context(credentials: Credentials, by_name: bool, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """A context for connections that we make: TLS 1.2 at least, the chain always verified, the name if `by_name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = by_name
    context.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        context.set_alpn_protocols(list(alpn))
    trust(context, credentials)
    load(context, credentials)
    return context


def trust(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Believe the authorities of the credentials; without any, those that httpx believes."""
    if credentials.anchors:
        context.load_verify_locations(cadata=credentials.anchors)
        # Whatever stands in the file is an anchor, an intermediate too (the default since Python 3.13, and Go's).
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folder:
        context.load_verify_locations(cafile=file or None, capath=folder or None)
        return
    import certifi

    context.load_verify_locations(cafile=certifi.where())


def load(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Our certificate and key, if there are any. ConfigError when OpenSSL does not take what we had checked."""
    if not credentials.chain:
        return
    try:
        if not _loaded_from_memory(context, credentials):
            password = secrets.token_hex(16)
            with _temporary(credentials.chain + credentials.key(password)) as path:
                context.load_cert_chain(path, password=password)
    except ssl.SSLError as error:
        reason = (error.reason or "unknown reason").lower().replace("_", " ")
        raise ConfigError(f"OpenSSL does not take the certificate or its key: {reason}") from None


def _loaded_from_memory(context: ssl.SSLContext, credentials: Credentials) -> bool:
    if not hasattr(os, "memfd_create"):
        return False
    try:
        with _memory(credentials.chain + credentials.key()) as path:
            context.load_cert_chain(path, password=_no_password)
    except ssl.SSLError:
        raise
    except OSError:
        return False  # no /proc here, or the call is forbidden
    return True


def _no_password() -> str:
    # Without a callback OpenSSL would ask on the terminal, and wait.
    return ""


@contextmanager
def _memory(content: bytes) -> Iterator[str]:
    descriptor = os.memfd_create("meshlib-tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(content: bytes) -> Iterator[str]:
    descriptor, path = tempfile.mkstemp(prefix="meshlib-tls-")  # readable by its owner only
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)
