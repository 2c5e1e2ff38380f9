"""State by name: where it lives, what configures it, and what it survives."""

import gc
import sys
import weakref

import pytest

from meshlib.core.listener import Listener
from meshlib.decorators import circuit_breaker, retry, shared, timeout
from meshlib.errors import CircuitOpenError, ConfigError
from meshlib.policy import PolicySnapshot, document_of
from meshlib.runtime import default, runtime


def test_one_name_one_breaker(mesh):
    """Two functions with one name share one; other names, and the same name on another mesh, do not."""
    one = circuit_breaker("payments", mesh=mesh)(lambda: 1)
    two = circuit_breaker("payments", mesh=mesh)(lambda: 2)
    other = circuit_breaker("orders", mesh=mesh)(lambda: 3)
    elsewhere = circuit_breaker("payments")(lambda: 4)
    assert one.breaker is two.breaker
    assert one.breaker.current is mesh.runtime.keep.breaker("function", "payments", one.breaker.options)
    assert other.breaker.current is not one.breaker.current
    assert elsewhere.breaker.current is not one.breaker.current
    assert elsewhere.breaker.runtime is default()


def test_arguments_of_a_name_are_put_together(mesh):
    """Keys that one function leaves open are the other's; where both speak, the later one is heard."""
    first = circuit_breaker("payments", open_for=2.0, window=20, mesh=mesh)(lambda: 1)
    assert first.breaker.options.open_for == 2.0
    second = circuit_breaker("payments", open_for=3.0, mesh=mesh)(lambda: 2)
    circuit_breaker("payments", mesh=mesh)(lambda: 3)
    assert second.breaker.options.open_for == first.breaker.options.open_for == 3.0
    assert first.breaker.options.window == 20


def test_function_defaults(mesh):
    """The group's defaults plus five failures in a row, and the names of the controls."""
    decorated = circuit_breaker(mesh=mesh)(test_function_defaults)
    assert decorated.breaker.options.consecutive_failures == 5
    assert decorated.breaker.options.failure_ratio == 0.5
    assert repr(decorated.breaker) == f"FunctionBreaker('{__name__}.test_function_defaults')"
    assert repr(retry("a")(len).retry) == "FunctionRetry('a')"
    assert repr(timeout(1, name="a")(len).timeout) == "FunctionTimeout('a')"


def test_policy_applies_beneath_the_arguments(mesh):
    """A document's group by name gives what the decorator leaves open, and a reload is followed."""
    broken = circuit_breaker("payments", open_for=2.0, mesh=mesh)(lambda: 1)
    again = retry("Payments", attempts=5, mesh=mesh)(lambda: 1)
    bounded = timeout(name="payments", mesh=mesh)(lambda: 1)
    fixed = timeout(3.0, name="payments", mesh=mesh)(lambda: 1)
    assert (bounded.timeout.seconds, fixed.timeout.seconds) == (10.0, 3.0)
    before = broken.breaker.current
    mesh.adopt(
        payments={
            "breaker": {"open_for": "9s", "consecutive_failures": 2},
            "retry": {"attempts": 2, "wait": {"base": "1s"}, "on": ["503"]},
            "timeout": "250ms",
        }
    )
    assert broken.breaker.current is before
    assert broken.breaker.options.open_for == 2.0
    assert broken.breaker.options.consecutive_failures == 2
    assert again.retry.options.attempts == 5
    assert again.retry.options.wait.base == 1.0
    assert (bounded.timeout.seconds, fixed.timeout.seconds) == (0.25, 3.0)
    mesh.adopt()
    assert broken.breaker.options.consecutive_failures == 5


def test_defaults_of_services_are_not_for_functions(mesh):
    """`[defaults]` speaks of services."""
    decorated = circuit_breaker("payments", mesh=mesh)(lambda: 1)
    policy = PolicySnapshot(document_of({"breaker": {"window": 99}, "timeout": 1}), "d", "code")
    mesh.runtime.adopt(policy)
    assert decorated.breaker.options.window == 10.0
    assert timeout(name="payments", mesh=mesh)(lambda: 1).timeout.seconds == 10.0


def test_false_turns_it_off(mesh, script):
    """A document's `false` switches each off whatever the arguments, `true` changes nothing."""
    failing = script(*[ConnectionError()] * 100)
    broken = circuit_breaker("payments", consecutive_failures=1, mesh=mesh)(failing)
    again = retry("payments", attempts=5, mesh=mesh)(failing)
    bounded = timeout(1.0, name="payments", mesh=mesh)(failing)
    mesh.adopt(payments={"breaker": False, "retry": False, "timeout": False})
    assert (broken.breaker.enabled, again.retry.enabled, bounded.timeout.seconds) == (False, False, None)
    for decorated in (broken, broken, again, bounded):
        with pytest.raises(ConnectionError):
            decorated()
    assert failing.calls == 4
    mesh.adopt(payments={"breaker": True, "retry": True})
    assert (broken.breaker.enabled, again.retry.enabled, bounded.timeout.seconds) == (True, True, 1.0)
    with pytest.raises(ConnectionError):
        broken()
    with pytest.raises(CircuitOpenError):
        broken()


def test_the_default_runtime_is_made_at_the_first_call(monkeypatch):
    """Decorating reads no environment: a wrong document is heard of when it is needed."""
    monkeypatch.setattr(sys.modules["meshlib.runtime.default"], "_default", None)
    monkeypatch.setenv("MESHLIB_CONFIG", "missing.toml")
    decorated = circuit_breaker("late")(lambda: 1)
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        decorated()
    monkeypatch.delenv("MESHLIB_CONFIG")
    assert decorated() == 1


def test_a_policy_file_is_watched(monkeypatch, tmp_path):
    """A process without services follows its document all the same; a closed mesh starts nothing."""
    path = tmp_path / "meshlib.toml"
    path.write_text("version = 1\n[services.payments]\nbreaker = {window = 30}\n")
    from meshlib import Mesh

    with Mesh(path) as mesh:
        decorated = circuit_breaker("payments", mesh=mesh)(lambda: 1)
        assert not mesh.runtime._watching
        assert decorated.breaker.options.window == 30.0
        assert mesh.runtime._watching
    late = circuit_breaker("late", mesh=mesh)(lambda: 1)
    assert late() == 1


def test_mesh_is_checked():
    """Something without a runtime, at decoration."""
    with pytest.raises(ConfigError, match="mesh= takes a"):
        circuit_breaker("payments", mesh="http://payments")


@pytest.mark.parametrize("decorate", [circuit_breaker, retry, lambda name: timeout(1.0, name=name)])
def test_names_are_checked(decorate):
    """The empty name would be everybody's."""
    with pytest.raises(ConfigError, match="takes a name"):
        decorate("")


def test_fork_starts_over(mesh):
    """After a fork the child's functions find the child's breakers, and new locks."""
    decorated = circuit_breaker("payments", mesh=mesh)(lambda: 1)
    decorated()
    before, lock = decorated.breaker.current, shared._lock
    mesh.runtime.after_in_child()
    shared._guard.after_in_child()
    assert decorated.breaker.current is not before
    assert shared._lock is not lock


def test_state_goes_with_its_last_function(mesh):
    """What is decorated over and over under new names does not pile up."""
    decorated = circuit_breaker("passing", mesh=mesh)(lambda: 1)
    site = weakref.ref(decorated.breaker)
    del decorated
    gc.collect()
    assert site() is None


def test_a_bind_that_policy_overtakes(mesh):
    """Options prepared from a policy that is replaced meanwhile are not applied."""
    decorated = circuit_breaker("payments", mesh=mesh)(lambda: 1)
    site, prepare, seen = decorated.breaker, type(decorated.breaker).prepare, []

    class Overtaken(type(site)):
        __slots__ = ()

        def prepare(self, layer):
            seen.append(layer)
            if len(seen) == 1:
                mesh.adopt(payments={"breaker": {"window": 40}})
            return prepare(self, layer)

    site.__class__ = Overtaken
    assert site.options.window == 40.0
    assert len(seen) == 2


def test_events_are_delivered_once(clock):
    """A listener that takes events itself meanwhile, as another thread would, is no error; without one they are dropped."""

    class Greedy(Listener):
        def __init__(self):
            self.heard = []

        def event(self, event):
            self.heard.append(event.kind)

    listener = Greedy()
    made = runtime.Runtime(
        PolicySnapshot(document_of({}), "1", "code"), clock=clock, listener=listener, seed=1
    )
    site = circuit_breaker("payments", mesh=type("M", (), {"runtime": made})())(lambda: 1).breaker
    assert site.enabled

    class Emptied(list):
        def popleft(self):
            raise IndexError

        def append(self, event):
            super().append(event)

    site.events = Emptied()
    site.refused("breaker", 1.0)
    assert listener.heard == []
    made.listener = None
    site.events = made.events
    site.refused("breaker", 1.0)
    assert not made.events


def test_fresh_state_needs_hooks():
    """The base says nothing about any decorator."""
    base = shared.Shared("a", None)
    for hook in (lambda: base.check({}), lambda: base.prepare(None), lambda: base.apply(None, None)):
        with pytest.raises(NotImplementedError):
            hook()
