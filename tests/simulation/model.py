"""Models for virtual time: servers with cores, a queue and faults, and clients on the real engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import log
from random import Random
from typing import Any

from meshlib import errors
from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers.virtual import Answer, Flight, Simulation
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, Attempt, CallPlan, Cluster
from meshlib.resilience.budget import BudgetOptions, RetryBudget
from meshlib.resilience.outlier import EjectionOptions, OutlierDetector
from meshlib.resilience.retry import RetryOptions, RetryPolicy

SAFE = BUFFERED | IDEMPOTENT | REPLAYABLE
UNAVAILABLE = Outcome(Kind.FAILURE, "503", "answered 503", delivered="yes")
TIMED_OUT = Outcome(Kind.FAILURE, "timeout", "timed out")
REFUSED = Outcome(Kind.FAILURE, "unsent", "refused the connection", retry_safe=True, delivered="no")


class StatusFamily:
    """A protocol whose replies are status numbers and whose only errors are refusal and time out."""

    errors = errors
    transport_errors: tuple[type[BaseException], ...] = (ConnectionRefusedError, TimeoutError)

    def classify(self, reply: Any) -> Outcome:
        return OK if reply < 500 else UNAVAILABLE

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        return REFUSED if isinstance(error, ConnectionRefusedError) else TIMED_OUT

    def describe(self, request: Any) -> str:
        return "a simulated call"

    def mapped(self, error: BaseException, request: Any) -> BaseException:
        return error

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> errors.MeshError:
        return errors.AttemptsExhaustedError(message, **facts)

    def attach(self, error: BaseException, request: Any) -> BaseException:
        return error

    def discard(self, reply: Any) -> None:
        pass

    async def adiscard(self, reply: Any) -> None:
        raise NotImplementedError


def log_normal(random: Random, mean: float, sigma: float = 1.0) -> Callable[[], float]:
    """Service times with that mean."""
    mu = log(mean) - sigma * sigma / 2
    return lambda: random.lognormvariate(mu, sigma)


class Machine:
    """One server: `cores` work at a time, the rest waits in one line, first come first served.

    Work whose caller has gone is done all the same, as most servers do. `slowdown` multiplies service times; while
    `down` connections are refused; while `hung` nothing is answered; `failing` is the share answered 503 after
    `fails_in`, without work.
    """

    def __init__(self, simulation: Simulation, service: Callable[[], float], cores: int = 4) -> None:
        self.simulation = simulation
        self.service = service
        self.free = cores
        self.slowdown = 1.0
        self.failing = 0.0
        self.fails_in = 0.001
        self.down = False
        self.hung = False
        self.arrivals = 0
        self._queue: deque[Answer] = deque()
        self._until = 0.0
        self._lost = 0.0

    def serve(self, answer: Answer) -> None:
        """A request has arrived."""
        self.arrivals += 1
        if self.down:
            answer(ConnectionRefusedError())
        elif self.hung:
            pass
        elif self.failing and self.simulation.random.random() < self.failing:
            self.simulation.after(self.fails_in, lambda: answer(503))
        elif self.free:
            self.free -= 1
            self._work(answer)
        else:
            self._queue.append(answer)

    def pause(self, seconds: float) -> None:
        """Stop the world, as a garbage collector does: work under way is finished that much later."""
        self._until = self.simulation.now + seconds
        self._lost += seconds

    def _work(self, answer: Answer) -> None:
        now = self.simulation.now
        start = max(now, self._until)
        self._finish(answer, start + self.service() * self.slowdown - now, self._lost)

    def _finish(self, answer: Answer, seconds: float, lost: float) -> None:
        def end() -> None:
            late = self._lost - lost
            if late > 0.0:
                self._finish(answer, late, self._lost)
                return
            answer(200)
            if self._queue:
                self._work(self._queue.popleft())
            else:
                self.free += 1

        self.simulation.after(seconds, end)


class Fleet:
    """Machines and the clients that call them; each client has a cluster, plan and random stream of its own."""

    def __init__(self, simulation: Simulation, machines: Sequence[Machine], network: float = 0.0) -> None:
        self.simulation = simulation
        self.machines = list(machines)
        self.network = network
        self.set = EndpointSet([Endpoint(host=str(number)) for number in range(len(machines))])

    def client(
        self,
        balancer: str = "p2c",
        *,
        timeout: float = 1.0,
        attempt_timeout: float | None = None,
        attempts: int = 1,
        ejection: bool = False,
        **options: Any,
    ) -> CallPlan:
        """A plan for a client of its own. `options` are the balancer's."""
        random = Random(self.simulation.random.random()).random
        kind = BALANCERS.get(balancer)
        detector = OutlierDetector(EjectionOptions(), random) if ejection else None
        cluster = Cluster("service", kind(kind.options(**options)), random, detector=detector)
        for _ in cluster.apply(self.set, self.simulation.now):
            pass
        return CallPlan(
            "service",
            cluster,
            StatusFamily(),
            random,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry=RetryPolicy(RetryOptions(attempts=attempts)) if attempts > 1 else None,
            max_attempts=attempts,
            budget=RetryBudget(BudgetOptions()) if attempts > 1 else None,
        )

    def serve(self, attempt: Attempt, request: Any, answer: Answer) -> None:
        """The server model that simulated calls are given."""
        machine = self.machines[int(attempt.node.host)]
        if not self.network:
            machine.serve(answer)
            return
        after, way = self.simulation.after, self.network
        after(way, lambda: machine.serve(lambda reply: after(way, lambda: answer(reply))))

    def call(self, plan: CallPlan, done: Callable[[Any], None] | None = None) -> Flight:
        """One call now."""
        return self.simulation.call(plan, None, self.serve, SAFE, 0.0, done)


class Record:
    """What became of calls that began at or after `since`."""

    def __init__(self, simulation: Simulation, since: float = 0.0) -> None:
        self.simulation = simulation
        self.since = since
        self.times: list[float] = []
        self.good = 0
        self.bad = 0

    def done(self, began: float) -> Callable[[Any], None]:
        """The `done` of a call that begins now."""
        return lambda result: self._take(began, result)

    def _take(self, began: float, result: Any) -> None:
        if began < self.since:
            return
        good = result == 200
        self.good += good
        self.bad += not good
        # A quick failure would flatter the percentiles; a time out took its time and belongs in them.
        if good or isinstance(result, Exception):
            self.times.append(self.simulation.now - began)

    @property
    def calls(self) -> int:
        return self.good + self.bad

    @property
    def success(self) -> float:
        return self.good / self.calls

    def percentile(self, share: float) -> float:
        """Seconds that this share of the calls took at most."""
        times = sorted(self.times)
        return times[min(len(times) - 1, int(len(times) * share))]


def load(
    fleet: Fleet, plans: Sequence[CallPlan], rate: float, until: float, record: Record | None = None
) -> None:
    """Open-loop Poisson arrivals of `rate` calls a second in all from now to `until`, each by a random client."""
    simulation = fleet.simulation
    random = Random(simulation.random.random())

    def arrive() -> None:
        if simulation.now >= until:
            return
        plan = plans[int(random.random() * len(plans))]
        fleet.call(plan, None if record is None else record.done(simulation.now))
        simulation.after(random.expovariate(rate), arrive)

    simulation.after(random.expovariate(rate), arrive)
