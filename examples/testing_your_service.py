"""How your own tests make the service you call misbehave. Run it as a program, or with pytest.

python examples/testing_your_service.py
pytest examples/testing_your_service.py
"""

import httpx

from meshlib import Client, DeadlineExceededError
from meshlib.testing import Fault, FaultServer, Services


def order_state(orders: httpx.Client, number: int) -> str:
    """The code under test: yours. It sees an httpx.Client and nothing of a mesh."""
    response = orders.get(f"/v1/orders/{number}")
    response.raise_for_status()
    return str(response.json()["state"])


PAID = Fault.ok(body=b'{"state": "paid"}')


def test_reset_is_retried() -> None:
    """The first answer is cut off in the middle, the second one counts."""
    with FaultServer() as server, Client("http://orders", discovery=f"static://{server.address}") as orders:
        server.behave(Fault.reset_mid_body(), PAID)
        assert order_state(orders, 42) == "paid"
        assert [request.path for request in server.requests] == ["/v1/orders/42"] * 2


def test_post_is_not_repeated() -> None:
    """What is not idempotent and may have arrived is sent once."""
    with FaultServer() as server, Client("http://orders", discovery=f"static://{server.address}") as orders:
        server.behave(Fault.ok(status=503), PAID)
        assert orders.post("/v1/orders", json={"id": 42}).status_code == 503
        assert len(server.requests) == 1


def test_deadline_holds_against_a_dripping_server() -> None:
    """One byte at a time, for ever: the call ends with its deadline all the same."""
    with (
        FaultServer() as server,
        Client("http://orders", discovery=f"static://{server.address}", timeout=0.3) as orders,
    ):
        server.behave(default=Fault.drip_body(0.05))
        try:
            order_state(orders, 42)
        except DeadlineExceededError as error:
            print("   ", error)
        else:
            raise AssertionError("the deadline was ignored")


def test_one_bad_instance_of_three() -> None:
    """The bad one is left alone after a while, and no caller notices it."""
    with Services(3) as services, Client("http://orders", discovery=services.uri) as orders:
        for server in services:
            server.behave(default=PAID)
        services[0].behave(default=Fault.ok(status=503))
        assert {order_state(orders, number) for number in range(60)} == {"paid"}
        assert services.counts[services[0].address] < 15


def main() -> None:
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            print(name.replace("_", " "))
            test()


if __name__ == "__main__":
    main()
