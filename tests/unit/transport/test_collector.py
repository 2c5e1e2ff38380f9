"""Noticing the garbage collector."""

from __future__ import annotations

import gc
import threading
from typing import Any

from meshlib.transport.collector import collecting, watch


def test_only_inside_a_collection_and_only_in_its_thread() -> None:
    """A finaliser run by the collector sees it; one run by a falling count, or another thread, does not."""
    watch()
    watch()
    seen: list[bool] = []

    class Noted:
        def __del__(self) -> None:
            seen.append(collecting())

    def elsewhere(phase: str, info: dict[str, Any]) -> None:
        thread = threading.Thread(target=lambda: seen.append(collecting()))
        thread.start()
        thread.join()

    noted = Noted()
    del noted
    assert seen == [False]
    cycle: list[Any] = [Noted()]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert seen == [False, True]
    gc.callbacks.append(elsewhere)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(elsewhere)
    assert seen == [False, True, False, False]
    assert not collecting()
