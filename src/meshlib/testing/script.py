"""Script: what a double answers, in order; shared by all scripted doubles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf
from threading import Lock
from typing import Any, Final

__all__ = ["HANG", "After", "Script", "after", "yielded"]


class After:
    """An answer that takes its time."""

    __slots__ = ("answer", "seconds")

    def __init__(self, seconds: float, answer: Any) -> None:
        self.seconds: float = seconds
        self.answer: Any = answer

    def __repr__(self) -> str:
        return f"after({self.seconds!r}, {self.answer!r})"


def after(seconds: float, answer: Any) -> After:
    """`answer` (a value or an exception) after that many seconds of the fake clock."""
    return After(seconds, answer)


HANG: Final = After(inf, None)
"""No answer, ever: the other side's timeout or cancellation ends it."""


class Script:
    """Answers taken one by one; the last one stays, so one answer is a constant. Thread-safe.

    Raises ValueError when there is no answer at all.
    """

    __slots__ = ("_answers", "_lock")

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = deque(answers)
        self._lock = Lock()
        if not self._answers:
            raise ValueError("a script needs at least one answer")

    def take(self) -> Any:
        """The next answer, unopened."""
        with self._lock:
            return self._answers.popleft() if len(self._answers) > 1 else self._answers[0]


def yielded(answer: Any) -> Any:
    """What an answer comes to: exceptions (instances or classes) are raised, anything else is returned."""
    if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
        raise answer
    return answer
