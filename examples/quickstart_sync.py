"""A first call: two instances of one service, one of them killed, and nothing lost.

    python examples/quickstart_sync.py
"""

from collections import Counter

from meshlib import Client
from meshlib.testing import ServiceProcess

CALLS = 100


def main() -> None:
    with ServiceProcess("a") as a, ServiceProcess("b") as b:
        # In your code the URL is enough: discovery is DNS unless something says otherwise.
        with Client("http://orders", discovery=f"static://{a.address},{b.address}") as orders:
            print("one call:", orders.get("/v1/orders/42").json()["name"])
            answered: Counter[str] = Counter()
            for number in range(CALLS):
                if number == CALLS // 2:
                    a.kill()
                    print("a is killed")
                response = orders.get(f"/v1/orders/{number}")
                answered[response.json()["name"]] += 1
                tries = response.extensions["meshlib"]["attempts"]
                if len(tries) > 1:
                    print(f"call {number} took {len(tries)} attempts: {'; '.join(map(str, tries))}")
    print("answered:", dict(answered), "lost:", CALLS - answered.total())
    assert answered.total() == CALLS


if __name__ == "__main__":
    main()
