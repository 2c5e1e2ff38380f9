"""The driver for virtual time: the shipped engine among modelled servers, without waiting and without threads.

A discrete-event simulation on one heap. Plan, Call, Attempt and Cluster are those of production, only clock and servers are
models (as Finagle tests its balancers, `com.twitter.finagle.loadbalancer.Simulation`). Events of one instant run in the
order of their scheduling and all randomness comes from seeded generators: the same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from meshlib.core.deadline import NEVER
from meshlib.core.wait import Wait
from meshlib.drivers.notify import closed
from meshlib.drivers.sync import opened
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import Call
from meshlib.engine.plan import CallPlan
from meshlib.errors import MeshError

__all__ = ["Answer", "Done", "Flight", "Server", "Simulation", "Timer"]

Answer = Callable[[Any], None]
"""Takes a reply, or an exception in place of one, at once or later. The first counts, and none after the timeout."""
Server = Callable[[Attempt, Any, Answer], None]
"""A model of all servers: `server(attempt, request, answer)` looks at `attempt.node` and sees to an answer."""
Done = Callable[[Any], None]
"""Takes what a call ends with: its reply, or the exception that a real driver would raise."""


class Timer:
    """A scheduled event; `run` is None once it has happened or was cancelled."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[[], object]) -> None:
        self.run: Callable[[], object] | None = run

    def cancel(self) -> None:
        """The event will not happen. Any number of times, at any time."""
        self.run = None


class Simulation:
    """A clock that jumps from event to event.

    `now` is virtual seconds from 0. `random` is seeded; its `random.random`, or that of another seeded generator, is what
    the plans, clusters and models that take part are to be given. Used by one thread.
    """

    def __init__(self, seed: int = 0) -> None:
        self.now: float = 0.0
        self.random: Random = Random(seed)
        self._events: list[tuple[float, int, Timer]] = []
        self._scheduled = 0

    def at(self, instant: float, run: Callable[[], object]) -> Timer:
        """Call `run()` at `instant`; what lies in the past happens now, what lies at `inf` never."""
        timer = Timer(run)
        if instant != NEVER:
            self._scheduled += 1
            heappush(self._events, (max(instant, self.now), self._scheduled, timer))
        return timer

    def after(self, seconds: float, run: Callable[[], object]) -> Timer:
        """Call `run()` so many seconds from now."""
        return self.at(self.now + seconds, run)

    def run(self, until: float = NEVER) -> None:
        """Let everything happen that is due by `until`, which is then the time; without it, until nothing is left."""
        events = self._events
        while events and events[0][0] <= until:
            instant, _, timer = heappop(events)
            run, timer.run = timer.run, None
            if run is not None:
                self.now = instant
                run()
        if until != NEVER:
            self.now = max(self.now, until)

    def call(
        self,
        plan: CallPlan,
        request: Any,
        server: Server,
        flags: int = 0,
        deadline: float = 0.0,
        done: Done | None = None,
    ) -> Flight:
        """Start one call now, as `drivers.sync.drive` does; `done` gets its end, maybe before this returns.

        Without BUFFERED the reply's lease is the server model's to release, as it is a response body's in a real transport.
        """
        flight = Flight(self, plan, request, server, done)
        flight.start(flags, deadline)
        return flight


class Flight:
    """One call on its way; `result` is its reply or exception once it is `over`."""

    def __init__(
        self, simulation: Simulation, plan: CallPlan, request: Any, server: Server, done: Done | None
    ) -> None:
        self._simulation = simulation
        self._plan = plan
        self._request = request
        self._server = server
        self._done = done
        self._step: Attempt | Wait | None = None
        self._timer: Timer | None = None
        self.call: Call | None = None
        """The engine's object; None when the call was refused at the door."""
        self.result: Any = None
        self.over: bool = False

    def start(self, flags: int, deadline: float) -> None:
        """Open the call and begin its first attempt."""
        try:
            call = opened(self._plan, self._request, self._simulation.now, flags, deadline)
        except MeshError as error:
            self._end(error)
            return
        self.call = call
        self._begin(call)

    def cancel(self) -> None:
        """The caller gives up: nobody's failure. `done` is not called."""
        if not self.over:
            self._done = None
            self._end(None)

    def _begin(self, call: Call) -> None:
        simulation = self._simulation
        try:
            step = self._step = call.begin(simulation.now)
        except MeshError as error:
            self._end(error)
            return
        if isinstance(step, Wait):
            self._timer = simulation.at(step.until, lambda: self._resume(call, step))
            if step.attach(lambda: self._resume(call, step)):
                self._resume(call, step)
            return
        if self._plan.listener is not None:
            step.headers = self._plan.listener.attempt_started(call, step)
        late = TimeoutError("the attempt's time was up")
        self._timer = simulation.at(step.until, lambda: self._answered(call, step, late))
        self._server(step, self._request, lambda reply: self._answered(call, step, reply))

    def _resume(self, call: Call, turn: Wait) -> None:
        """The turn has come or its time is up; whichever is second finds another step."""
        if self._step is turn:
            self._pause(call, 0.0)

    def _pause(self, call: Call, seconds: float) -> None:
        self._rest()
        self._timer = self._simulation.after(seconds, lambda: self._begin(call))

    def _answered(self, call: Call, attempt: Attempt, reply: Any) -> None:
        if self._step is not attempt:
            return
        self._rest()
        plan = self._plan
        if not isinstance(reply, BaseException):
            outcome = plan.classify(reply)
        elif isinstance(reply, plan.transport_errors):
            outcome = plan.classify_error(reply, attempt)
        else:
            self._end(reply)  # not from the transport: it passes through, with everything held given back
            return
        delay = call.finish(attempt, outcome, self._simulation.now)
        if plan.listener is not None:
            plan.listener.attempt_finished(call, attempt, outcome)
        if delay is not None or call.rejects():
            plan.family.discard(reply)
        if delay is not None:
            return self._pause(call, delay)
        try:
            result = call.settle(reply)
        except Exception as error:
            result = error
        self._end(result)

    def _rest(self) -> None:
        self._step = None
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, result: Any) -> None:
        self._rest()
        self.over = True
        self.result = result
        if self.call is not None:
            closed(self.call, self._simulation.now)
        if self._done is not None:
            self._done(result)
