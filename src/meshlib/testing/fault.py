"""Fault: one way to answer a request, or not to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

__all__ = ["Fault", "FaultKind"]

FaultKind = Literal[
    "ok",
    "reset_before_head",
    "reset_mid_head",
    "reset_mid_body",
    "cut_body",
    "slow_body",
    "drip_head",
    "drip_body",
    "half_close",
    "garbage",
    "endless_headers",
    "hang",
    "close_idle",
    "refuse",
    "blackhole",
]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_TEXT = b"all that glisters is not gold, often have you heard that told"  # long enough to be cut in half


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable instruction to a FaultServer; build it with the functions below. Times are real seconds.

    `delay` passes before the first byte, whatever the kind. A body is announced by Content-Length, or sent in two
    chunks with `chunked`. `close` ends the connection after the answer, and says so in the head.
    """

    kind: FaultKind
    status: int = 200
    body: bytes = _TEXT
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    interval: float = 0.0
    size: int = 1
    chunked: bool = False
    close: bool = False

    @property
    def of_listener(self) -> bool:
        """Whether it concerns connections to come instead of a request."""
        return self.kind in ("refuse", "blackhole")

    @staticmethod
    def ok(
        status: int = 200,
        body: bytes = b"ok",
        headers: Headers = (),
        delay: float = 0.0,
        *,
        chunked: bool = False,
        close: bool = False,
    ) -> Fault:
        """A proper response, of any status."""
        return Fault(
            kind="ok",
            status=status,
            body=body,
            headers=_pairs(headers),
            delay=delay,
            chunked=chunked,
            close=close,
        )

    @staticmethod
    def retry_after(seconds: float | str, status: int = 503) -> Fault:
        """A proper response that asks for a pause: seconds, or any text (a date, nonsense)."""
        text = seconds if isinstance(seconds, str) else f"{seconds:g}"
        return Fault(kind="ok", status=status, body=b"later", headers=(("Retry-After", text),))

    @staticmethod
    def reset_before_head(delay: float = 0.0) -> Fault:
        """The request is read, then RST."""
        return Fault(kind="reset_before_head", delay=delay)

    @staticmethod
    def reset_mid_head(delay: float = 0.0) -> Fault:
        """Half of the head, then RST."""
        return Fault(kind="reset_mid_head", delay=delay)

    @staticmethod
    def reset_mid_body(body: bytes = _TEXT, delay: float = 0.0, *, chunked: bool = False) -> Fault:
        """A good head, half of the body, then RST."""
        return Fault(kind="reset_mid_body", body=body, delay=delay, chunked=chunked)

    @staticmethod
    def cut_body(body: bytes = _TEXT, delay: float = 0.0, *, chunked: bool = False) -> Fault:
        """A good head, half of the body, then FIN, as if that had been all."""
        return Fault(kind="cut_body", body=body, delay=delay, chunked=chunked)

    @staticmethod
    def slow_body(pause: float, body: bytes = _TEXT) -> Fault:
        """The head at once, the body after a pause."""
        return Fault(kind="slow_body", interval=pause, body=body)

    @staticmethod
    def drip_head(interval: float, size: int = 1) -> Fault:
        """A good response whose head comes `size` bytes at a time."""
        return Fault(kind="drip_head", interval=interval, size=_positive(size))

    @staticmethod
    def drip_body(interval: float, size: int = 1, body: bytes = _TEXT, *, chunked: bool = False) -> Fault:
        """A good head at once, then the body `size` bytes at a time."""
        return Fault(kind="drip_body", interval=interval, size=_positive(size), body=body, chunked=chunked)

    @staticmethod
    def half_close(delay: float = 0.0) -> Fault:
        """FIN instead of an answer, while the server goes on reading."""
        return Fault(kind="half_close", delay=delay)

    @staticmethod
    def garbage(data: bytes = b"\x16\x03\x01 SSH-2.0 \x00\xff not a status line\r\n\r\n") -> Fault:
        """Bytes that are no HTTP response, then FIN."""
        return Fault(kind="garbage", body=data)

    @staticmethod
    def endless_headers(interval: float = 0.0) -> Fault:
        """A head that never ends; it goes on until the client leaves."""
        return Fault(kind="endless_headers", interval=interval)

    @staticmethod
    def hang() -> Fault:
        """The request is read and never answered."""
        return Fault(kind="hang")

    @staticmethod
    def close_idle(after: float = 0.0) -> Fault:
        """A proper keep-alive response; then the idle connection is closed without notice."""
        return Fault(kind="close_idle", interval=after)

    @staticmethod
    def refuse() -> Fault:
        """From its turn in the script on, as `FaultServer.refuse()`; it answers no request."""
        return Fault(kind="refuse")

    @staticmethod
    def blackhole() -> Fault:
        """From its turn in the script on, as `FaultServer.blackhole()`; it answers no request."""
        return Fault(kind="blackhole")


def _pairs(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)


def _positive(size: int) -> int:
    if size < 1:
        raise ValueError(f"a drip needs at least one byte, not {size}")
    return size
