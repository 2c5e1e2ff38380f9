"""What type checkers must see of decorated functions. Checked by mypy and pyright, never run."""

from collections.abc import Callable
from functools import partial
from typing import assert_type

import tenacity

from meshlib import circuit_breaker, retry, timeout
from meshlib.decorators import FunctionBreaker, FunctionRetry, FunctionTimeout


@circuit_breaker
def bare(amount: int, currency: str = "eur") -> str:
    return f"{amount} {currency}"


@circuit_breaker("payments", consecutive_failures=5, open_for=2.0, ignore=ValueError)
def called(amount: int, *, currency: str = "eur") -> str:
    return f"{amount} {currency}"


@retry
async def awaited(key: bytes) -> int:
    return len(key)


@retry("orders", attempts=3, on=(ConnectionError, TimeoutError), wait=tenacity.wait_fixed(1), budget=False)
async def awaited_called(key: bytes) -> int:
    return len(key)


@retry(on=lambda error: isinstance(error, OSError), wait={"base": 0.1}, budget={"ratio": 0.1})
def judged() -> None: ...


@timeout
def bounded_bare() -> int:
    return 1


@timeout(2.0, isolate=True)
def isolated(number: int) -> int:
    return number


@timeout("250ms", name="orders")
async def bounded(number: int) -> int:
    return number


@retry(attempts=3)
@circuit_breaker("payments")
@timeout(1.0)
def stacked(number: int) -> int:
    return number


class Orders:
    @retry
    def get(self, number: int) -> str:
        return str(number)

    @circuit_breaker("orders")
    async def find(self, number: int) -> str:
        return str(number)

    @staticmethod
    @retry(attempts=2)
    def parse(text: str) -> int:
        return int(text)


async def signatures_are_kept(orders: Orders) -> None:
    assert_type(bare(1, currency="usd"), str)
    assert_type(called(1, currency="usd"), str)
    assert_type(await awaited(b"k"), int)
    assert_type(await awaited_called(b"k"), int)
    assert_type(bounded_bare(), int)
    assert_type(isolated(1), int)
    assert_type(await bounded(1), int)
    assert_type(stacked(1), int)
    assert_type(orders.get(1), str)
    assert_type(Orders.get(orders, 1), str)
    assert_type(await orders.find(number=1), str)
    assert_type(Orders.parse("1"), int)
    assert_type(retry(partial(bare, 1))(), str)
    plain: Callable[[bytes], object] = awaited
    assert plain is awaited
    judged()


async def mistakes_are_seen(orders: Orders) -> None:
    bare("1")  # type: ignore[arg-type]
    called(1, "usd")  # type: ignore[call-arg]
    await awaited()  # type: ignore[call-arg]
    stacked()  # type: ignore[call-arg]
    orders.get("1")  # type: ignore[arg-type]
    await orders.find()  # type: ignore[call-arg]
    circuit_breaker("payments", consecutive_failure=5)  # type: ignore[call-overload]
    retry(attempts="3")  # type: ignore[call-overload]


def controls_are_typed(orders: Orders) -> None:
    assert_type(called.breaker, FunctionBreaker)
    assert_type(awaited.retry, FunctionRetry)
    assert_type(isolated.timeout, FunctionTimeout)
    assert_type(isolated.timeout.seconds, float | None)
    assert_type(orders.find.breaker, FunctionBreaker)
    assert_type(Orders.get.retry, FunctionRetry)
