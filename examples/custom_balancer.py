"""A balancer of your own: one class, one registration line.

    python examples/custom_balancer.py

In a distribution the line is an entry point of the group `meshlib.balancers`; here it is a call.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import Meta

from meshlib import Mesh
from meshlib.balancing import BALANCERS, Picked, Picker, PickingCall
from meshlib.balancing.base import Random
from meshlib.core.options import Options
from meshlib.testing import ServiceProcess


class CheapestOptions(Options, frozen=True, kw_only=True):
    """`balancer = {name = "cheapest", label = "price"}`."""

    group: ClassVar[str] = "balancer.cheapest"

    label: Annotated[str, Meta(min_length=1, description="The endpoint label that holds the price.")] = (
        "price"
    )


class Cheapest:
    """Sends everything to the endpoint with the lowest price; among equals to the least busy one."""

    options: ClassVar[type[Options]] = CheapestOptions

    def __init__(self, options: Options) -> None:
        assert isinstance(options, CheapestOptions)
        self._label = options.label

    def build(self, nodes: Sequence[Picked], random: Random) -> Picker:
        """Runs off the calls' path after every change: whatever is dear belongs here."""
        return _ByPrice(sorted(nodes, key=lambda node: float(node.endpoint.labels.get(self._label, "inf"))))


class _ByPrice:
    def __init__(self, nodes: Sequence[Picked]) -> None:
        self._nodes = nodes

    def pick(self, call: PickingCall) -> Picked | None:
        """Runs once an attempt: no lock, no clock, no allocation. Leave out what is ejected or was just tried."""
        for node in self._nodes:
            if node.usable(call.now) and node not in call.tried:
                return node
        return self._nodes[0]


BALANCERS.register("cheapest", Cheapest)


def main() -> None:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with ServiceProcess("dear") as dear, ServiceProcess("cheap") as cheap, TemporaryDirectory() as folder:
        registry = Path(folder, "orders.toml")
        registry.write_text(
            f'endpoints = [{{address = "{dear.address}", labels = {{price = "9"}}}},\n'
            f'             {{address = "{cheap.address}", labels = {{price = "2"}}}}]\n'
        )
        policy = {"services": {"orders": {"discovery": f"file://{registry}", "balancer": "cheapest"}}}
        with Mesh(policy=policy) as mesh, mesh.client("http://orders") as orders:
            print(Counter(orders.get("/").json()["name"] for _ in range(20)))
            cheap.kill()
            print("the cheap one is killed:", Counter(orders.get("/").json()["name"] for _ in range(20)))


if __name__ == "__main__":
    main()
