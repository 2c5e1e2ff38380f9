"""What may be decorated, and how it is told apart."""

import asyncio
import functools
import inspect

import pytest

from meshlib.decorators import circuit_breaker, retry, timeout
from meshlib.decorators.kinds import is_async, name_of
from meshlib.errors import ConfigError

DECORATORS = [circuit_breaker, retry, timeout, circuit_breaker("a"), retry(attempts=2), timeout(2.0)]
every = pytest.mark.parametrize("decorate", DECORATORS)


def add(number: int, more: int = 1) -> int:
    """Add."""
    return number + more


async def add_later(number: int, more: int = 1) -> int:
    """Add, later."""
    return number + more


class Adder:
    """Callable objects, methods of all kinds."""

    base = 10

    def __init__(self):
        self.retry = "its own"

    def __call__(self, number):
        return number + self.base

    def add(self, number):
        return number + self.base

    async def add_later(self, number):
        return number + self.base

    @classmethod
    def of_class(cls, number):
        return number + cls.base

    @staticmethod
    def of_nobody(number):
        return number + 1


class LateAdder:
    """A callable object that is awaited."""

    async def __call__(self, number):
        return number + 1


@every
def test_sync_function(decorate):
    """Result, name, documentation and signature are the function's; it stays sync."""
    decorated = decorate(add)
    assert decorated(1) == 2
    assert decorated(1, more=2) == 3
    assert decorated.__name__ == "add"
    assert decorated.__doc__ == "Add."
    assert inspect.signature(decorated) == inspect.signature(add)
    assert not inspect.iscoroutinefunction(decorated)


@every
def test_async_function(decorate):
    """The same, and it stays a coroutine function."""
    decorated = decorate(add_later)
    assert asyncio.run(decorated(1, more=2)) == 3
    assert inspect.iscoroutinefunction(decorated)
    assert decorated.__qualname__ == "add_later"


@every
def test_methods(decorate):
    """Methods are bound, sync, async, and those of the class in either order of the decorators."""

    class Both(Adder):
        add = decorate(Adder.add)
        add_later = decorate(Adder.add_later)
        above = decorate(Adder.__dict__["of_class"])
        below = classmethod(decorate(Adder.__dict__["of_class"].__func__))
        above_static = decorate(Adder.__dict__["of_nobody"])
        below_static = staticmethod(decorate(Adder.of_nobody))

    both = Both()
    assert both.add(1) == 11
    assert asyncio.run(both.add_later(1)) == 11
    assert [Both.above(1), both.above(1), Both.below(1), both.below(1)] == [11] * 4
    assert [Both.above_static(1), both.above_static(1), Both.below_static(1)] == [2] * 3


@every
def test_partials_and_objects(decorate):
    """Partials and callable objects, sync and async."""
    assert decorate(functools.partial(add, 1))() == 2
    assert decorate(Adder())(1) == 11
    assert asyncio.run(decorate(functools.partial(add_later, 1))()) == 2
    assert asyncio.run(decorate(LateAdder())(1)) == 2
    assert asyncio.run(decorate(functools.partial(LateAdder(), 1))()) == 2


def test_an_objects_attributes_stay_its_own():
    """A callable object with an attribute of our name does not hide ours."""
    decorated = circuit_breaker(Adder())
    assert not hasattr(decorated, "retry")
    assert decorated.__name__ == "Adder"


def test_names():
    """Module and qualified name, of what is called in the end."""
    here = __name__
    assert name_of(add) == f"{here}.add"
    assert name_of(Adder.add) == f"{here}.Adder.add"
    assert name_of(functools.partial(functools.partial(add, 1), 2)) == f"{here}.add"
    assert name_of(functools.partial(Adder(), 2)) == f"{here}.Adder"
    assert circuit_breaker(Adder.__dict__["of_class"]).__func__.breaker.name == f"{here}.Adder.of_class"
    assert retry(functools.partial(add, 1)).__qualname__ == "add"


def test_controls_of_inner_decorators_stay_in_reach():
    """Stacked decorators leave each their own."""
    stacked = timeout(2.0)(retry("r")(circuit_breaker("b")(add)))
    assert stacked.breaker.name == "b"
    assert stacked.retry.name == "r"
    assert stacked.timeout.name == f"{__name__}.add"
    assert stacked(1) == 2


def careless(function):
    """Hands out what the function returns."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def bridging(function):
    """Runs the coroutine itself."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return asyncio.run(function(*args, **kwargs))

    return wrapper


def test_a_wrapped_coroutine_function_is_awaited():
    """Another decorator's plain wrapper around a coroutine function does not fool us."""
    wrapped = careless(add_later)
    assert is_async(wrapped)
    assert asyncio.run(circuit_breaker(wrapped)(1)) == 2


def test_a_wrapper_that_runs_its_coroutine():
    """Nothing to await: says which way round the decorators belong."""
    decorated = circuit_breaker("bridging")(careless(bridging(add_later)))

    async def main():
        await decorated(1)

    with pytest.raises(ConfigError, match="put the decorator below"):
        # In a thread of its own, because the wrapper runs a loop of its own.
        asyncio.run(_in_thread(main))
    assert asyncio.run(careless(circuit_breaker(add_later))(1)) == 2


async def _in_thread(main):
    """Awaits `main` without a running loop in the way of `asyncio.run` inside it."""
    step = main().send
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        step(None)
    finally:
        asyncio._set_running_loop(running)


def generator():
    yield 1


async def async_generator():
    yield 1


class Generating:
    def __call__(self):
        yield 1


@every
@pytest.mark.parametrize(
    "function",
    [generator, async_generator, functools.partial(generator), Generating(), staticmethod(generator)],
)
def test_generators_are_refused(decorate, function):
    """A generator has run nothing yet when it is returned: an error at once instead of a false feeling."""
    with pytest.raises(ConfigError, match=r"cannot decorate the generator function .*[gG]enerat"):
        decorate(function)


@pytest.mark.parametrize(
    "decorate", [circuit_breaker, retry, circuit_breaker("a"), retry(attempts=2), timeout(2.0)]
)
@pytest.mark.parametrize("thing", [7, Adder])
def test_what_is_no_function_is_refused(decorate, thing):
    """Numbers and classes."""
    with pytest.raises(ConfigError, match="decorates functions and methods"):
        decorate(thing)
