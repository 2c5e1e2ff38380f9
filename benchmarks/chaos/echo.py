"""What a server answers to a target: nothing else may come back, or two exchanges were mixed up."""

from __future__ import annotations

__all__ = ["answer", "target"]


def target(number: int, size: int) -> str:
    """A target that nobody else asks for."""
    return f"/echo/{number}/{size}"


def answer(asked: str) -> bytes:
    """The body that belongs to it: itself, over and over."""
    size = int(asked.rpartition("/")[2])
    piece = asked.encode() + b" "
    return (piece * (size // len(piece) + 1))[:size]
