"""The ledger: every call that was begun ends in it, one way or another; so do calls and attempts as meshlib reports them."""

from __future__ import annotations

import traceback
from collections import Counter
from threading import Lock
from typing import Any

from meshlib.core.listener import Listener

__all__ = ["Ledger", "Watcher"]

SHOWN = 20


class Ledger:
    """Thread-safe. `problems` are what must not happen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.begun = 0
        self.ended: Counter[str] = Counter()
        self.problems: list[str] = []
        self.unsaid = 0

    def begin(self) -> int:
        """A call is about to be made; its number."""
        with self._lock:
            self.begun += 1
            return self.begun

    def end(self, word: str) -> None:
        """And this is what became of it."""
        with self._lock:
            self.ended[word] += 1

    def problem(self, text: str, error: BaseException | None = None) -> None:
        """Something that must not be."""
        if error is not None:
            frames = traceback.extract_tb(error.__traceback__)[-3:]
            where = " < ".join(
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames)
            )
            text = f"{text}: {type(error).__name__}: {error} ({where})"
        with self._lock:
            if len(self.problems) < SHOWN:
                self.problems.append(text)
            else:
                self.unsaid += 1


class Watcher(Listener):
    """Counts what meshlib says of its calls."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.counts: Counter[str] = Counter()

    def _count(self, word: str) -> None:
        with self._lock:
            self.counts[word] += 1

    def call_started(self, call: Any) -> None:
        """Count."""
        self._count("call started")

    def call_finished(self, call: Any, outcome: Any) -> None:
        """Count."""
        self._count("call finished")

    def attempt_started(self, call: Any, attempt: Any) -> None:
        """Count."""
        self._count("attempt started")

    def attempt_finished(self, call: Any, attempt: Any, outcome: Any) -> None:
        """Count."""
        self._count("attempt finished")
