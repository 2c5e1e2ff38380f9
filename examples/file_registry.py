"""A file as the registry: instances come and go by editing it, without a restart.

python examples/file_registry.py
"""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from meshlib import Client, Mesh
from meshlib.testing import ServiceProcess


def write(file: Path, *services: ServiceProcess) -> None:
    """Replace the document in one step, so that no reader sees half of it."""
    document = {"endpoints": [{"address": s.address, "labels": {"version": "v1"}} for s in services]}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(document))
    os.replace(new, file)


def addresses(mesh: Mesh) -> list[str]:
    """The instances that are ready, as the mesh knows them."""
    nodes = mesh.state()["services"]["orders"]["clusters"][""]["nodes"]
    return [node["address"] for node in nodes if node["state"] == "ready"]


def wait_for(mesh: Mesh, count: int) -> None:
    while len(addresses(mesh)) != count:
        time.sleep(0.05)


def call_names(orders: Client, count: int = 20) -> set[str]:
    return {orders.get("/").json()["name"] for _ in range(count)}


def main() -> None:
    with ServiceProcess("a") as a, ServiceProcess("b") as b, TemporaryDirectory() as folder:
        file = Path(folder, "orders.json")
        write(file, a)
        policy = {"services": {"orders": {"discovery": f"file://{file}", "balancer": "round_robin"}}}
        with Mesh(policy=policy) as mesh, mesh.client("http://orders") as orders:
            print("one instance: ", sorted(call_names(orders)))
            write(file, a, b)
            wait_for(mesh, 2)
            print("b was added:  ", sorted(call_names(orders)))
            write(file, b)
            wait_for(mesh, 1)
            print("a was removed:", sorted(call_names(orders)))
            file.write_text("this is no document")
            time.sleep(1.5)
            print("a bad file changes nothing:", sorted(call_names(orders)))
            print(
                "and says so:", mesh.state()["services"]["orders"]["discovery"]["error"].replace(folder, "")
            )


if __name__ == "__main__":
    main()
