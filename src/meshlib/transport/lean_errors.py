"""LeanError: what went wrong on a lean connection, named as the client families name it."""

from __future__ import annotations

from typing import Any

from meshlib.transport.handshake import refusal
from meshlib.transport.http1 import BrokenResponse

__all__ = ["LeanError", "connecting", "reading", "translation", "writing"]


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
    """ReadTimeout, RemoteProtocolError or ReadError; ConnectError when the peer turns out to have refused our certificate, see
    `handshake.refusal`. `started`: bytes of an answer had come."""
    refused = None if started else refusal(error)
    if refused is not None:
        return LeanError("ConnectError", refused)
    return _named(error, "ReadTimeout", "ReadError")


def writing(error: BaseException) -> LeanError:
    """WriteTimeout, RemoteProtocolError or WriteError; of a refusal that a loop has heard before, what `reading` says."""
    refused = refusal(error)
    if refused is not None:
        return LeanError("ConnectError", refused)
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
