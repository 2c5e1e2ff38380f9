"""A mesh on virtual time, and waits that take none."""

import time
from types import SimpleNamespace

import pytest

from meshlib.core.listener import Listener
from meshlib.policy import PolicySnapshot, document_of
from meshlib.runtime import Runtime
from meshlib.testing import FakeClock, VirtualLoop


class Heard(Listener):
    """Collects events."""

    def __init__(self):
        self.events = []

    def event(self, event):
        """Keep it."""
        self.events.append(event)

    def of(self, kind):
        """The facts of one kind."""
        return [event.facts for event in self.events if event.kind == kind]


def snapshot(version="1", **services):
    """A policy for services as code gives it."""
    return PolicySnapshot(document_of({"services": services}), version, "code")


@pytest.fixture
def clock(monkeypatch):
    """Virtual time, also for sleeps."""
    clock = FakeClock()
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def mesh(clock):
    """What `mesh=` takes: anything with a runtime. `heard` is its listener, `adopt` changes its policy."""
    heard = Heard()
    runtime = Runtime(snapshot(), clock=clock, listener=heard, seed=7)

    def adopt(**services):
        adopt.version += 1
        runtime.adopt(snapshot(str(adopt.version), **services))

    adopt.version = 1
    return SimpleNamespace(runtime=runtime, heard=heard, adopt=adopt)


@pytest.fixture
def run(clock):
    """Runs a coroutine on a loop whose time is the clock's."""
    loop = VirtualLoop(clock)
    yield loop.run_until_complete
    loop.close()


class Script:
    """A function that does what it is told, one step a call: raises exceptions, returns anything else; then "done"."""

    def __init__(self, *steps, seconds=0.0, clock=None):
        self.steps = list(steps)
        self.calls = 0
        self.seconds = seconds
        self.clock = clock

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.clock is not None:
            self.clock.advance(self.seconds)
        step = self.steps.pop(0) if self.steps else "done"
        if isinstance(step, BaseException):
            raise step
        return step


@pytest.fixture
def script():
    """The class Script."""
    return Script


@pytest.fixture
def unhurried():
    """Options of a retry whose pauses are 1, 2, 4, ... seconds."""
    return {"wait": {"base": 1.0, "cap": 60.0, "jitter": "none"}}
