"""The same for asyncio: fifty calls at a time, one instance made slow, and the fast ones take over its share.

python examples/quickstart_async.py
"""

import asyncio
from collections import Counter

from meshlib import AsyncClient
from meshlib.testing import ServiceProcess


async def load(orders: AsyncClient, calls: int) -> Counter[str]:
    """Many calls, at most fifty of them at a time; who answered how often."""
    answered: Counter[str] = Counter()
    room = asyncio.Semaphore(50)

    async def one(number: int) -> None:
        async with room:
            response = await orders.get(f"/v1/orders/{number}", timeout=5.0)
            answered[response.json()["name"]] += 1

    await asyncio.gather(*(one(number) for number in range(calls)))
    return answered


async def main() -> None:
    with ServiceProcess("a") as a, ServiceProcess("b") as b, ServiceProcess("c") as c:
        where = f"static://{a.address},{b.address},{c.address}"
        async with AsyncClient("http://orders", discovery=where) as orders:
            print("all alike:  ", dict(sorted((await load(orders, 600)).items())))
            a.control(delay=0.2)
            shares = await load(orders, 600)
            print("a is slow:  ", dict(sorted(shares.items())))
    assert shares["a"] < 150, "a slow instance gets less than its share"


if __name__ == "__main__":
    asyncio.run(main())
