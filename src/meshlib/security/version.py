"""Version: the numbers by which connections of an old identity are told from those of the new one."""

from __future__ import annotations

from itertools import count

__all__ = ["next_version"]

_versions = count(1)


def next_version() -> int:
    """A number larger than any given out before in this process: what is newer has the larger one. Thread-safe."""
    return next(_versions)
