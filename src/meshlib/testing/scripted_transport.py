"""ScriptedTransport: the nodes of a cluster as a test imagines them, behind the drivers' `send`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, NamedTuple

from meshlib.testing.clock import FakeClock
from meshlib.testing.reply import Reply
from meshlib.testing.script import After, Script, yielded

__all__ = ["ScriptedTransport", "Sent"]

Answers = Iterable[Any] | Callable[[Any, Any], Any]


class Sent(NamedTuple):
    """One attempt that reached a node: where, what, when (monotonic seconds)."""

    address: str
    request: Any
    at: float


class ScriptedTransport:
    """`send(attempt, request)` and `await asend(attempt, request)`, answered by script.

    Per address (`attempt.node.endpoint.address`) either answers in order, the last one staying, or a function of
    `(attempt, request)`. An answer is any reply object, an exception to raise, or `after(seconds, answer)`, which lets
    the clock pass first; an answer slower than the attempt's `until` (absolute, `inf` for none) raises
    `timeout_error` at that moment. Addresses without a script answer with `default`. As a real transport does, it sets
    `attempt.sent` (not for a scripted ConnectionRefusedError, which no byte precedes) and `attempt.head`.
    `sent` lists all attempts, `counts` counts them by address, `in_flight` and `most_in_flight` watch concurrency.
    Thread-safe, apart from what the answers do.
    """

    def __init__(
        self,
        answers: Mapping[str, Answers] | None = None,
        *,
        clock: FakeClock | None = None,
        default: Any = None,
        timeout_error: type[BaseException] = TimeoutError,
    ) -> None:
        self.clock: FakeClock = FakeClock() if clock is None else clock
        self.sent: list[Sent] = []
        self.counts: Counter[str] = Counter()
        self.in_flight: int = 0
        self.most_in_flight: int = 0
        self._default = default
        self._timeout_error = timeout_error
        self._answers: dict[str, Callable[[Any, Any], Any]] = {}
        self._lock = Lock()
        for address, scripted in (answers or {}).items():
            self._answers[address] = _source(scripted)

    def on(self, address: str, *answers: Any) -> None:
        """Replace what a node answers from now on; one function alone is asked each time."""
        alone = len(answers) == 1 and _is_function(answers[0])
        self._answers[address] = answers[0] if alone else _source(answers)

    def send(self, attempt: Any, request: Any) -> Any:
        """Answer one attempt; latencies pass on the clock at once."""
        self._enter(attempt, request)
        try:
            seconds, answer = self._choose(attempt, request)
            if seconds:
                self.clock.sleep(seconds)
            return self._arrive(attempt, answer)
        finally:
            self._leave()

    async def asend(self, attempt: Any, request: Any) -> Any:
        """The same for async drivers; on a VirtualLoop of the clock concurrent attempts overlap as they would."""
        self._enter(attempt, request)
        try:
            seconds, answer = self._choose(attempt, request)
            if seconds:
                await self.clock.asleep(seconds)
            return self._arrive(attempt, answer)
        finally:
            self._leave()

    def _enter(self, attempt: Any, request: Any) -> None:
        address: str = attempt.node.endpoint.address
        with self._lock:
            self.sent.append(Sent(address, request, self.clock()))
            self.counts[address] += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def _leave(self) -> None:
        with self._lock:
            self.in_flight -= 1

    def _choose(self, attempt: Any, request: Any) -> tuple[float, Any]:
        source = self._answers.get(attempt.node.endpoint.address)
        if source is not None:
            answer = source(attempt, request)
        else:
            answer = Reply() if self._default is None else self._default
        seconds = 0.0
        if isinstance(answer, After):
            seconds, answer = answer.seconds, answer.answer
        left: float = attempt.until - self.clock()
        if seconds > left:
            seconds, answer = max(0.0, left), self._timeout_error(f"no answer within {max(0.0, left):g} s")
        attempt.sent = not _refuses(answer)
        return seconds, answer

    def _arrive(self, attempt: Any, answer: Any) -> Any:
        reply = yielded(answer)
        attempt.head = self.clock()
        return reply


def _source(answers: Answers) -> Callable[[Any, Any], Any]:
    if _is_function(answers):
        function: Callable[[Any, Any], Any] = answers  # type: ignore[assignment]
        return function
    script = Script(answers)  # type: ignore[arg-type]
    return lambda attempt, request: script.take()


def _is_function(answer: Any) -> bool:
    # Exception classes are callable too, but as answers they are raised.
    return callable(answer) and not isinstance(answer, type)


def _refuses(answer: Any) -> bool:
    kind = answer if isinstance(answer, type) else type(answer)
    return issubclass(kind, ConnectionRefusedError)
