"""LeanError: what went wrong on a lean connection, named as the client families name it."""

from __future__ import annotations

import ssl
from typing import Any

from meshlib.transport.http1 import BrokenResponse

__all__ = ["LeanError", "connecting", "reading", "translation", "writing"]

_REFUSALS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""What is in the names of the alerts that answer a certificate."""


class LeanError(Exception):
    """`kind` is the name of a family's error class: `ConnectError`, `ReadTimeout`, `RemoteProtocolError`, ...

    A class of its own, so that what a caller's request body raises is never taken for a failure of the connection.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind: str = kind


def connecting(error: OSError) -> LeanError:
    """ConnectTimeout or ConnectError; what TLS raises (`ssl.SSLError`, a wrong peer) is an OSError too."""
    if isinstance(error, TimeoutError):
        return LeanError("ConnectTimeout", str(error) or "timed out")
    return LeanError("ConnectError", str(error))


def reading(error: BaseException, started: bool = True) -> LeanError:
    """ReadTimeout, RemoteProtocolError or ReadError; ConnectError when the peer turns out to have refused our certificate.

    In TLS 1.3 our side of the handshake is over before the peer has looked at who we are (RFC 8446 section 4.4.2.4): its no comes
    with the first read, after a request was written that it never looked at. `started`: bytes of an answer had come.
    """
    if not started and isinstance(error, ssl.SSLError) and _refused(error.reason or ""):
        return LeanError("ConnectError", f"the peer refused our certificate: {error}")
    return _named(error, "ReadTimeout", "ReadError")


def _refused(reason: str) -> bool:
    return "ALERT" in reason and any(word in reason for word in _REFUSALS)


def writing(error: BaseException) -> LeanError:
    """WriteTimeout, RemoteProtocolError or WriteError."""
    return _named(error, "WriteTimeout", "WriteError")


def _named(error: BaseException, late: str, broken: str) -> LeanError:
    if isinstance(error, BrokenResponse):
        return LeanError("RemoteProtocolError", str(error))
    return LeanError(late if isinstance(error, TimeoutError) else broken, str(error))


def translation(module: Any) -> Any:
    """A function (error, request) to the error of that family's module; what is no LeanError comes back unchanged."""

    def translated(error: BaseException, request: Any) -> BaseException:
        if not isinstance(error, LeanError):
            return error
        made: BaseException = getattr(module, error.kind)(str(error), request=request)
        return made

    return translated
