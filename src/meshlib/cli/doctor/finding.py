"""Finding: one line of the doctor's."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level", "fail", "ok", "warn"]

Level = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """`text` says what is, `advice` what to do about it ("" when there is nothing to do)."""

    level: Level
    subject: str
    text: str
    advice: str = ""


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, text)


def warn(subject: str, text: str, advice: str) -> Finding:
    """It may go wrong."""
    return Finding("warn", subject, text, advice)


def fail(subject: str, text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding("fail", subject, text, advice)
