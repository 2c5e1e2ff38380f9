"""The same protections for plain functions, sync and async.

python examples/decorators.py
"""

import asyncio
import time

from meshlib import CircuitOpenError, DeadlineExceededError, circuit_breaker, deadline, retry, timeout

asked = 0


@retry(attempts=3, on=(ConnectionError,))
def flaky() -> str:
    """Two failures, then an answer. Only what `on` names is repeated."""
    global asked
    asked += 1
    if asked < 3:
        raise ConnectionError("not yet")
    return f"answered after {asked} attempts"


@circuit_breaker("payments", consecutive_failures=3, open_for=0.2)
def charge(amount: int) -> str:
    """The breaker's state belongs to the name: every function called "payments" shares it."""
    if amount < 0:
        raise ConnectionError("the provider is down")
    return f"charged {amount}"


@timeout(0.1)
async def slow() -> None:
    """A coroutine is cancelled when its time is up; a sync function is told by `deadline.remaining()`."""
    await asyncio.sleep(5)


def main() -> None:
    print("retry:  ", flaky())

    for _ in range(3):
        try:
            charge(-1)
        except ConnectionError as error:
            print("breaker:", error)
    try:
        charge(1)
    except CircuitOpenError as error:
        print("breaker:", error)
    time.sleep(0.4)
    print("breaker:", charge(1), "- its probe was let through and succeeded")

    try:
        asyncio.run(slow())
    except DeadlineExceededError as error:
        print("timeout:", error)

    with deadline(0.5):
        left = deadline.remaining()
        print("deadline: everything in this block has", round(left or 0.0, 1), "s")


if __name__ == "__main__":
    main()
