"""A first call: two instances of one service, the one in use is killed, and nothing is lost.

python examples/quickstart_sync.py
"""

from collections import Counter

from meshlib import Client
from meshlib.testing import ServiceProcess

CALLS = 100


def main() -> None:
    with ServiceProcess("a") as a, ServiceProcess("b") as b:
        instances = {"a": a, "b": b}
        # In your code the URL is enough: discovery is DNS unless something says otherwise.
        with Client("http://orders", discovery=f"static://{a.address},{b.address}") as orders:
            answered: Counter[str] = Counter()
            in_use = ""
            for number in range(CALLS):
                if number == CALLS // 2:
                    instances[in_use].kill()
                    print(in_use, "is killed")
                response = orders.get(f"/v1/orders/{number}")
                in_use = response.json()["name"]
                answered[in_use] += 1
                attempts = response.extensions["meshlib"]["attempts"]
                if len(attempts) > 1:
                    print(f"call {number} took {len(attempts)} attempts: {'; '.join(map(str, attempts))}")
    print("answered:", dict(answered), "lost:", CALLS - answered.total())
    assert answered.total() == CALLS


if __name__ == "__main__":
    main()
