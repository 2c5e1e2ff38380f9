"""Code that owns its httpx client, such as an SDK: it takes a transport, and the mesh comes in there.

python examples/foreign_httpx_client.py
"""

import httpx

from meshlib import Mesh
from meshlib.testing import ServiceProcess


class OrdersSdk:
    """Stands for somebody else's library: it knows httpx and nothing of a mesh."""

    def __init__(self, http_client: httpx.Client) -> None:
        self._http = http_client

    def order(self, number: int) -> str:
        response = self._http.get(f"http://orders/v1/orders/{number}")
        response.raise_for_status()
        return str(response.json()["name"])


def main() -> None:
    with ServiceProcess("a") as a, ServiceProcess("b") as b:
        where = f"static://{a.address},{b.address}"
        with (
            Mesh(policy={"services": {"orders": {"discovery": where}}}) as mesh,
            httpx.Client(transport=mesh.transport()) as http_client,
        ):
            sdk = OrdersSdk(http_client)
            in_use = sdk.order(1)
            print("answered by", in_use)
            (a if in_use == "a" else b).kill()
            print(in_use, "is killed; answered by", sdk.order(2))


if __name__ == "__main__":
    main()
