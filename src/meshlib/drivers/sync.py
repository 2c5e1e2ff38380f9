"""The driver for threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

from meshlib.core.deadline import NEVER
from meshlib.core.wait import Wait
from meshlib.drivers.notify import deliver, failed, settled
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import Call
from meshlib.engine.plan import CallPlan

__all__ = ["begun", "drive", "opened", "wait"]

Request = TypeVar("Request")
Clock = Callable[[], float]


def drive(
    plan: CallPlan,
    request: Request,
    send: Callable[[Attempt, Request], Any],
    clock: Clock = time.monotonic,
    flags: int = 0,
    deadline: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Run one call to its reply, or raise the error that it ends with.

    `send(attempt, request)` sends one attempt to `attempt.node` by `attempt.until` and returns its reply or raises one of
    `plan.transport_errors`; whatever else it raises passes through, with everything held given back.
    """
    listener, now = plan.listener, clock()
    call, reply = None, None
    try:
        call = plan.open(request, now, flags, deadline)
        if listener is not None:
            listener.call_started(call)
        while True:
            step = call.begin(now)
            if not isinstance(step, Attempt):
                step = begun(call, step, clock)
            if listener is not None:
                step.headers = listener.attempt_started(call, step)
            try:
                reply = send(step, request)
                outcome = plan.classify(reply)
            except plan.transport_errors as error:
                reply, outcome = error, plan.classify_error(error, step)
            delay = call.finish(step, outcome, clock())
            if listener is not None:
                listener.attempt_finished(call, step, outcome)
            if delay is None:
                break
            _pause(plan, reply, delay, sleep)
            now = clock()
        if not outcome.ok:
            reply = _settle(call, reply)
    except BaseException as error:
        failed(plan, call, error, reply, clock())
        reply = None  # the traceback holds this frame: the error would hold itself, until the collector comes
        raise
    if listener is not None or plan.events:
        settled(call)
    call.last = None  # they refer to each other: parted, both are freed now and not by the collector
    return reply


def opened(plan: CallPlan, request: Any, now: float, flags: int, deadline: float) -> Call:
    """Open the call; a refusal is delivered to the listener before it is raised."""
    try:
        call = plan.open(request, now, flags, deadline)
    except BaseException:
        deliver(plan)
        raise
    if plan.listener is not None:
        plan.listener.call_started(call)
    return call


def begun(call: Call, step: Attempt | Wait, clock: Clock) -> Attempt:
    """The attempt, after every Wait that stands before it."""
    while not isinstance(step, Attempt):
        wait(step, clock)
        step = call.begin(clock())
    return step


def wait(turn: Wait, clock: Clock) -> None:
    """Sit out a Wait until it is granted or its time is up."""
    event = Event()
    if turn.attach(event.set):
        return
    event.wait(None if turn.until == NEVER else max(0.0, turn.until - clock()))


def _pause(plan: CallPlan, reply: Any, delay: float, sleep: Callable[[float], None]) -> None:
    """What a retry replaces is closed before the pause."""
    plan.family.discard(reply)
    if delay > 0.0:
        sleep(delay)


def _settle(call: Call, reply: Any) -> Any:
    """What a call without success ends with: the reply that stands, or the error raised."""
    if call.rejects():
        call.plan.family.discard(reply)
    return call.settle(reply)
