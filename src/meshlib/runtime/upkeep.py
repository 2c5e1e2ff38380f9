"""Upkeep: what has to happen now and then although nobody calls: departed nodes and unnamed state are forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from meshlib.runtime.runtime import Runtime

__all__ = ["EVERY", "upkeep"]

EVERY = 10.0
"""Seconds between rounds."""


async def upkeep(watched: ref[Runtime]) -> None:
    """Runs on the background loop while the runtime lives and is open; holds it only during a round."""
    while True:
        await asyncio.sleep(EVERY)
        runtime = watched()
        if runtime is None or runtime.closed:
            return
        runtime.tidy()
        del runtime
