"""The policies as a naive chain of functions: obvious, slow, and never to be optimised.

Each stage is a filter that gets the call and what comes after it. Windows are plain lists that are counted anew every time,
every node is looked at for every pick, and nothing is shared with the engine but the vocabulary (Outcome) and the
word lists of the options. `tests/properties/test_plan_equals_reference.py` drives both with the same clock and the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

from meshlib.core.outcome import Outcome

BUCKETS = 10
PROBE_LEASE = 10.0
PICKS = 4

Random = Callable[[], float]
Clock = Callable[[], float]


@dataclass
class Rules:
    """What is asked for; None turns a part off."""

    timeout: float = 10.0
    attempt_timeout: float | None = None
    attempts: int = 3
    on: tuple[str, ...] = ()
    retries: bool = True
    base: float = 0.025
    cap: float = 0.25
    budget: tuple[float, float, float] | None = None  # ratio, floor a second, window
    breaker: tuple[float, int, int | None, float, float] | None = (
        None  # ratio, calls, in a row, open_for, longest
    )
    breaker_window: float = 10.0
    limit: int | None = None
    ejection: tuple[float, int, int | None, float, float, float] | None = (
        None  # ratio, requests, row, base, most, share
    )
    ejection_window: float = 10.0
    better_by: float = 0.1
    raise_on_exhausted: bool = False


class Ended(Exception):
    """The call ends with an error of that name."""

    def __init__(self, name: str, cause: BaseException | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.cause = cause


@dataclass
class Try:
    """One attempt."""

    node: Node
    started: float
    until: float
    outcome: Outcome | None = None
    probe: bool = False
    held: bool = True
    slot: bool = False


@dataclass
class RefCall:
    """One call on its way through the chain."""

    request: Any
    idempotent: bool
    replayable: bool
    buffered: bool
    hop: bool
    deadline: float
    started: float
    tries: list[Try] = field(default_factory=list)
    final: Outcome | None = None
    stop: str | None = None
    reply: Any = None


@dataclass(eq=False)
class Node:
    """One instance."""

    address: str
    in_flight: int = 0
    calls: int = 0
    failures: int = 0
    barrier: float = 0.0
    unreached: int = 0
    results: list[tuple[float, bool]] = field(default_factory=list)
    run: int = 0
    run_began: int = 0
    ejected: bool = False
    ejections: int = 0
    exponent: int = 0
    probing: bool = False
    until: float = 0.0
    restored: float = -inf


def recent(results: list[tuple[float, bool]], span: float, now: float) -> tuple[int, int]:
    """Good and bad of the last BUCKETS buckets, the running one included."""
    width = span / BUCKETS
    newest = now // width
    kept = [good for at, good in results if at // width > newest - BUCKETS]
    return sum(kept), len(kept) - sum(kept)


def grown(base: float, most: float, times: int) -> float:
    """Doubled that often, within bounds."""
    return min(max(base, most), base * 2.0**times)


class Budget:
    """Retries: a share of the calls begun in the window, and so many a second in any case."""

    def __init__(self, ratio: float, floor: float, window: float) -> None:
        self.ratio, self.floor, self.window = ratio, floor, window
        self.entries: list[tuple[float, bool]] = []

    def balance(self, now: float) -> float:
        deposits, withdrawals = recent(self.entries, self.window, now)
        return self.ratio * deposits + self.floor * self.window - withdrawals

    def withdraw(self, now: float) -> bool:
        if self.balance(now) < 1.0:
            return False
        self.entries.append((now, False))
        return True


class Breaker:
    """Closed, open, half-open; it sees calls, not attempts."""

    def __init__(self, rules: Rules, random: Random) -> None:
        assert rules.breaker is not None
        self.ratio, self.minimum, self.in_a_row, self.open_for, self.longest = rules.breaker
        self.window = rules.breaker_window
        self.random = random
        self.state = "closed"
        self.since: float | None = None
        self.until = 0.0
        self.results: list[tuple[float, bool]] = []
        self.run = 0
        self.times = -1
        self.probe_out_until = 0.0
        self.generation = 0

    def admit(self, now: float) -> int | None:
        """The generation that admitted, or None."""
        if self.state == "open" and now >= self.until:
            self.move("half-open", now)
        if self.state == "open" or (self.state == "half-open" and now < self.probe_out_until):
            return None
        if self.state == "half-open":
            self.probe_out_until = now + max(10.0, self.open_for)
        return self.generation

    def end(self, generation: int, good: bool | None, now: float) -> None:
        """The call's outcome; None says nothing."""
        if generation != self.generation:
            return
        if self.state == "half-open":
            self.probe_out_until = 0.0
            if good:
                self.results, self.run = [], 0
                self.move("closed", now)
            elif good is False:
                self.open(now)
        elif good is not None:
            self.results.append((now, good))
            self.run = 0 if good else self.run + 1
            if not good and self.trips(now):
                self.open(now)

    def trips(self, now: float) -> bool:
        good, bad = recent(self.results, self.window, now)
        if self.in_a_row is not None and self.run >= self.in_a_row:
            return True
        return good + bad >= self.minimum and bad >= self.ratio * (good + bad)

    def open(self, now: float) -> None:
        if self.state == "closed" and self.since is not None and now - self.since >= self.window:
            self.times = -1
        seconds = grown(self.open_for, self.longest, self.times + 1)
        if seconds < self.longest or self.times < 0:
            self.times += 1
        self.move("open", now)
        self.until = now + seconds * (1 + 0.5 * (2 * self.random() - 1))

    def move(self, state: str, now: float) -> None:
        self.state, self.since = state, now
        self.generation += 1
        self.probe_out_until = 0.0


class Ejector:
    """Takes a node out while it does worse than the others."""

    def __init__(self, rules: Rules, nodes: list[Node], random: Random) -> None:
        assert rules.ejection is not None
        self.ratio, self.minimum, self.in_a_row, self.base, self.most, self.share = rules.ejection
        self.window, self.better_by = rules.ejection_window, rules.better_by
        self.nodes, self.random = nodes, random
        self.log: list[tuple[Node, bool]] = []
        self.panic = False

    def claimed(self, node: Node, now: float) -> bool:
        if not node.ejected or self.panic or now < node.barrier:
            return False
        node.probing = True
        node.barrier = now + PROBE_LEASE
        return True

    def record(self, node: Node, outcome: Outcome, now: float, probe: bool) -> None:
        if not outcome.ok and not outcome.charged:
            if probe and node.ejected and node.probing:
                node.probing = False
                if not self.panic:
                    node.barrier = node.until
            return
        if outcome.failed and node.run == 0:
            node.run_began = len(self.log)
        self.log.append((node, outcome.ok))
        node.results.append((now, outcome.ok))
        if outcome.ok:
            node.run = 0
        elif outcome.failed:
            node.run += 1
        if node.ejected:
            if (probe and node.probing) or (self.panic and now >= node.until):
                self.judge(node, outcome.ok, now)
        elif not outcome.ok and self.trips(node, now):
            self.eject(node, now)

    def trips(self, node: Node, now: float) -> bool:
        if self.in_a_row is not None and node.run >= self.in_a_row:
            others = [ok for other, ok in self.log[node.run_began :] if other is not node]
            if others and sum(others) / len(others) >= self.better_by - 1e-9:
                return True
        good, bad = recent(node.results, self.window, now)
        if good + bad < self.minimum or good >= self.ratio * (good + bad):
            return False
        fine = total = 0
        for other in self.nodes:
            if other is not node:
                other_good, other_bad = recent(other.results, self.window, now)
                fine += other_good
                total += other_good + other_bad
        return total > 0 and fine / total - good / (good + bad) >= self.better_by - 1e-9

    def eject(self, node: Node, now: float) -> None:
        if len(self.nodes) < 2:
            return
        if now - node.restored >= self.window:
            node.exponent = 0
        node.ejected = True
        self.bar(node, now)
        self.settle()

    def bar(self, node: Node, now: float) -> None:
        seconds = grown(self.base, self.most, node.exponent)
        if seconds < self.most:
            node.exponent += 1
        node.until = now + seconds * (1 + 0.5 * (2 * self.random() - 1))
        node.ejections += 1
        if not self.panic:
            node.barrier = node.until

    def judge(self, node: Node, ok: bool, now: float) -> None:
        node.probing = False
        if not ok:
            self.bar(node, now)
            return
        node.ejected = False
        node.run = 0
        node.restored = now
        node.results = []
        node.barrier = 0.0
        self.settle()

    def settle(self) -> None:
        out = [node for node in self.nodes if node.ejected]
        allowed = (
            min(len(self.nodes) - 1, max(1, int(len(self.nodes) * self.share))) if len(self.nodes) > 1 else 0
        )
        panic = len(out) > allowed
        if panic != self.panic:
            self.panic = panic
            for node in out:
                node.barrier = 0.0 if panic else node.until


class Reference:
    """One service with its nodes, under `rules`. Random numbers come from one stream for each part."""

    def __init__(
        self,
        rules: Rules,
        addresses: list[str],
        clock: Clock,
        sleep: Callable[[float], None],
        streams: Callable[[str], Random],
        classify: Callable[[Any], Outcome],
        transport_errors: tuple[type[BaseException], ...],
    ) -> None:
        self.rules, self.clock, self.sleep = rules, clock, sleep
        self.classify, self.transport_errors = classify, transport_errors
        self.nodes = [Node(address) for address in addresses]
        self.picking, self.waiting = streams("cluster"), streams("plan")
        self.budget = None if rules.budget is None else Budget(*rules.budget)
        self.breaker = None if rules.breaker is None else Breaker(rules, streams("breaker"))
        self.ejector = None if rules.ejection is None else Ejector(rules, self.nodes, streams("detector"))
        self.in_flight = 0
        self.learned: list[tuple[str, str, float]] = []
        self.sleeps: list[float] = []

    # the chain

    def call(self, call: RefCall, send: Callable[[Try, Any], Any]) -> Any:
        """Through all filters: deadline, breaker, deposit, retries; limit, pick, timeout and send once an attempt."""
        if call.deadline == inf:
            call.deadline = call.started + self.rules.timeout
        with self.admitted(call):
            if self.budget is not None and not call.hop:
                self.budget.entries.append((self.clock(), True))
            return self.tried(call, send)

    @contextmanager
    def admitted(self, call: RefCall) -> Iterator[None]:
        """One admission and one record a call."""
        if self.breaker is None:
            yield
            return
        generation = self.breaker.admit(self.clock())
        if generation is None:
            raise Ended("CircuitOpenError")
        try:
            yield
        finally:
            outcome = call.final or (call.tries[-1].outcome if call.tries else None)
            said = None if outcome is None or not (outcome.ok or outcome.charged) else outcome.ok
            self.breaker.end(generation, said, self.clock())

    def tried(self, call: RefCall, send: Callable[[Try, Any], Any]) -> Any:
        """Attempt after attempt, until one is good or there is a reason to stop."""
        while True:
            self.in_time(call)
            one = self.claimed(call)
            reply = self.attempted(call, one, send)
            outcome = one.outcome
            assert outcome is not None
            delay = None if outcome.ok else self.verdict(call, outcome)
            stands = delay is None and not call.buffered and not isinstance(reply, BaseException)
            raised = self.rules.raise_on_exhausted and outcome.charged
            self.settled(one, outcome, self.clock(), held=stands and not raised)
            if delay is None:
                call.final = outcome
                return self.result(call, reply)
            if delay > 0:
                self.sleep(delay)
                self.sleeps.append(delay)

    def result(self, call: RefCall, reply: Any) -> Any:
        """The reply; an error when the last attempt brought none, or when policy wants one."""
        outcome, now = call.final, self.clock()
        assert outcome is not None
        if isinstance(reply, BaseException):
            if outcome.cause == "timeout" and now >= call.deadline - 0.005:
                raise Ended("DeadlineExceededError", reply)
            if len(call.tries) == 1 and not self.rules.raise_on_exhausted:
                raise Ended("mapped", reply)
            raise Ended("AttemptsExhaustedError", reply)
        if self.rules.raise_on_exhausted and outcome.charged:
            raise Ended("AttemptsExhaustedError")
        return reply

    # once an attempt

    def in_time(self, call: RefCall) -> None:
        """No attempt begins after the deadline."""
        if self.clock() >= call.deadline:
            raise Ended("DeadlineExceededError")

    def claimed(self, call: RefCall) -> Try:
        """A slot of the limit and a node."""
        limit = self.rules.limit
        if limit is not None and self.in_flight >= limit:
            call.stop = "limit" if call.tries else None
            raise Ended("AttemptsExhaustedError" if call.tries else "LimitExceededError")
        if not self.nodes:
            raise Ended("NoEndpointError")
        now = self.clock()
        node = self.pick(call, now)
        one = Try(node, now, self.until(call, now), slot=limit is not None)
        self.in_flight += 1
        node.in_flight += 1
        node.calls += 1
        if self.ejector is not None:
            one.probe = self.ejector.claimed(node, now)
        call.tries.append(one)
        return one

    def until(self, call: RefCall, now: float) -> float:
        """`auto`: half of what is left while another attempt is possible, else all of it."""
        left = call.deadline - now
        if self.rules.attempt_timeout is not None:
            return min(call.deadline, now + self.rules.attempt_timeout)
        made = len(call.tries) + 1
        possible = made < self.rules.attempts and call.idempotent and call.replayable
        return now + left / 2 if possible else call.deadline

    def pick(self, call: RefCall, now: float) -> Node:
        """Four draws that avoid what was tried and what is out; then the best of all by the order of preference."""
        tried = [one.node for one in call.tries]
        for _ in range(PICKS):
            node = self.nodes[int(self.picking() * len(self.nodes))]
            if node not in tried and node.barrier <= now:
                return node
        start = int(self.picking() * len(self.nodes))
        order = self.nodes[start:] + self.nodes[:start]
        latest = tried[-1] if tried else None
        usable = [node for node in order if node.barrier <= now]
        for choice in (
            [node for node in usable if node not in tried],
            [node for node in order if node not in tried],
            [node for node in usable if node is not latest],
            [node for node in order if node is not latest],
        ):
            if choice:
                return choice[0]
        return order[0]

    def attempted(self, call: RefCall, one: Try, send: Callable[[Try, Any], Any]) -> Any:
        """Send; what is not the transport's passes through and is nobody's failure."""
        try:
            reply = send(one, call.request)
        except self.transport_errors as error:
            one.outcome = self.classify(error)
            return error
        except BaseException:
            now = self.clock()
            self.learned.append((one.node.address, "waited", now - one.started))
            if self.ejector is not None and one.probe:
                self.ejector.record(one.node, IGNORED, now, True)
            self.give_back(one)
            call.tries[-1].outcome = IGNORED
            raise
        one.outcome = self.classify(reply)
        return reply

    def settled(self, one: Try, outcome: Outcome, now: float, held: bool) -> None:
        """Feedback, and the lease back unless a body holds it."""
        took = now - one.started
        if outcome.ok or outcome.charged:
            self.learned.append((one.node.address, outcome.cause, took))
        else:
            self.learned.append((one.node.address, "waited", took))
        if outcome.ok:
            one.node.unreached = 0
        if outcome.charged:
            one.node.failures += 1
        if outcome.cause == "unsent" and len(self.nodes) > 1 and one.node.barrier <= now:
            pause = min(10.0, 1.0 * 2**one.node.unreached) * (0.5 + self.picking())
            one.node.barrier = now + pause
            one.node.unreached += 1
        if self.ejector is not None:
            self.ejector.record(one.node, outcome, now, one.probe)
        if not held:
            self.give_back(one)

    def closed(self, one: Try, outcome: Outcome | None) -> None:
        """A streamed body is over, perhaps broken."""
        if one.held:
            self.give_back(one)
            if outcome is not None and outcome.charged:
                one.node.failures += 1
                if self.ejector is not None:
                    self.ejector.record(one.node, outcome, self.clock(), False)

    def give_back(self, one: Try) -> None:
        one.held = False
        one.node.in_flight -= 1
        self.in_flight -= 1

    # may there be another?

    def verdict(self, call: RefCall, outcome: Outcome) -> float | None:
        """Seconds to the next attempt, or None and the reason in `call.stop`."""
        call.stop, delay = self.judged(call, outcome, self.clock())
        if call.stop is None and self.budget is not None and not self.budget.withdraw(self.clock()):
            call.stop = "budget"
        return delay if call.stop is None else None

    def judged(self, call: RefCall, outcome: Outcome, now: float) -> tuple[str | None, float]:
        """Why not, else how long to wait."""
        rules, made = self.rules, len(call.tries)
        if not rules.retries:
            return "off", 0.0
        if not outcome.charged:
            return "done", 0.0
        if outcome.retry_safe is False or (outcome.retry_safe is None and not call.idempotent):
            return "not_safe", 0.0
        if not call.replayable:
            return "not_replayable", 0.0
        throttled = outcome.kind.value == "throttled" and "throttled" in rules.on
        if outcome.cause not in rules.on and not throttled:
            return "not_listed", 0.0
        if made >= rules.attempts:
            return "attempts", 0.0
        delay = 0.0
        if outcome.cause != "unsent":
            delay = self.waiting() * min(rules.cap, rules.base * 2.0 ** (made - 1))
        if outcome.pushback is not None:
            if outcome.pushback < 0 or now + min(outcome.pushback, 300.0) >= call.deadline:
                return "pushback", 0.0
            delay = max(delay, min(outcome.pushback, 300.0))
        return ("deadline", 0.0) if now + delay >= call.deadline else (None, delay)


class _Ignored:
    ok = charged = failed = False


IGNORED: Any = _Ignored()
