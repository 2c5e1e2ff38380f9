"""One file says how calls are treated, and a change of it is seen while the process runs.

python examples/policy_file.py
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from meshlib import ConfigError, Mesh
from meshlib.testing import ServiceProcess

DOCUMENT = """
version = 1

[mesh]
service = "web"

[defaults]
timeout = 5.0

[services.orders]
discovery = "static://{address}"
timeout = {timeout}
retry = {{attempts = 2}}

[[services.orders.routes]]
name = "reports"
match = {{path_prefix = "/v1/reports", methods = ["GET"]}}
timeout = "30s"
"""


def effective_timeout(mesh: Mesh, path: str) -> float:
    """What `explain` says of the timeout of a request."""
    return float(mesh.explain("http://orders", "GET", path).facts["policy"]["timeout"]["value"])


def main() -> None:
    with ServiceProcess("a") as service, TemporaryDirectory() as folder:
        file = Path(folder, "meshlib.toml")
        file.write_text(DOCUMENT.format(address=service.address, timeout=2.0))
        with Mesh.from_file(file) as mesh, mesh.client("http://orders") as orders:
            print("answered by", orders.get("/v1/orders/42").json()["name"])
            print("timeout of an order:", effective_timeout(mesh, "/v1/orders/42"))
            print("timeout of a report:", effective_timeout(mesh, "/v1/reports/2026"))

            file.write_text(DOCUMENT.format(address=service.address, timeout=1.0))
            while effective_timeout(mesh, "/v1/orders/42") != 1.0:
                time.sleep(0.1)
            print("the file was changed; timeout of an order:", effective_timeout(mesh, "/v1/orders/42"))

        file.write_text("version = 1\n[services.orders]\ntimeuot = 2\nretry = {attempts = 0}\n")
        try:
            Mesh.from_file(file)
        except ConfigError as error:
            print("every mistake at once:")
            for problem in error.problems:
                print("  ", problem.replace(folder, ""))


if __name__ == "__main__":
    main()
