"""The runtime on the real background thread: files followed, policy reloaded, thread shared, everything stopped."""

import json
import threading
import time

import pytest

from meshlib import Client, Mesh, NoEndpointError
from meshlib.testing import FaultServer

pytestmark = pytest.mark.integration


def until(condition, seconds=10.0):
    """Wait for a condition of another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def registry(path, *servers):
    """Write an endpoints document, by one rename."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"endpoints": [{"address": server.address} for server in servers]}))
    draft.replace(path)


def test_a_file_registry_is_followed_while_calls_go_on(tmp_path):
    """A server that is added is called, one that is removed is not, and no call is lost."""
    path = tmp_path / "orders.json"
    with FaultServer() as one, FaultServer() as two:
        registry(path, one)
        with Client("http://orders", discovery=f"file://{path}") as client:
            assert client.get("/").status_code == 200
            registry(path, one, two)
            until(lambda: client.get("/").status_code == 200 and two.requests)
            registry(path, two)
            until(lambda: len(client._mesh.services["orders"].clusters[""].nodes) == 1)
            before = len(one.requests)
            for _ in range(5):
                assert client.get("/").status_code == 200
            assert len(one.requests) == before


def test_a_broken_registry_keeps_the_last_good_set(tmp_path):
    """The reason stands in state(); calls go on."""
    path = tmp_path / "orders.json"
    with FaultServer() as one:
        registry(path, one)
        with Mesh(discovery=f"file://{path}") as mesh, mesh.client("http://orders") as client:
            assert client.get("/").status_code == 200
            path.write_text('{"endpoints": [{"address": 7}]}')
            until(lambda: mesh.state()["services"]["orders"]["discovery"]["error"])
            assert client.get("/").status_code == 200
            error = mesh.state()["services"]["orders"]["discovery"]["error"]
            assert "orders.json" in error
            assert "endpoints[0]" in error.replace("endpoints.0", "endpoints[0]")


def test_a_policy_file_is_reloaded_and_a_wrong_one_refused(tmp_path):
    """New values hold for the next call; a malformed document changes nothing and is named with its line."""
    path = tmp_path / "meshlib.toml"
    with FaultServer() as one:

        def write(timeout):
            path.write_text(
                f'version = 1\n[services.orders]\ndiscovery = "static://{one.address}"\ntimeout = {timeout}\n'
            )

        write(5)
        with Mesh.from_file(path) as mesh, mesh.client("http://orders") as client:
            client.get("/")
            service = mesh.runtime.services["orders"]
            assert service.policy.timeout == 5.0
            write(7)
            until(lambda: service.policy.timeout == 7.0)
            write('"soon"')
            until(lambda: mesh.state()["policy"]["error"])
            assert f"{path.name}:4" in mesh.state()["policy"]["error"]
            assert service.policy.timeout == 7.0
            write(9)
            until(lambda: service.policy.timeout == 9.0)
            assert mesh.state()["policy"]["error"] == ""
            assert client.get("/").status_code == 200


def test_no_endpoint_fails_within_the_deadline_with_the_reason(tmp_path):
    """A registry that is not there: the call waits for it, then says why there is none."""
    with Client("http://orders", discovery=f"file://{tmp_path}/none.json", timeout=0.5) as client:
        begin = time.monotonic()
        with pytest.raises(NoEndpointError, match=r"none.json.*cannot be read"):
            client.get("/")
        assert time.monotonic() - begin < 3.0


def test_all_meshes_share_one_thread(tmp_path):
    """However many meshes and clients watch something."""
    with FaultServer() as one:
        path = tmp_path / "orders.json"
        registry(path, one)
        clients = [Client("http://orders", discovery=f"file://{path}") for _ in range(20)]
        for client in clients:
            assert client.get("/").status_code == 200
        assert sum(thread.name == "meshlib-control" for thread in threading.enumerate()) == 1
        for client in clients:
            client.close()


def test_refresh_asks_at_once(tmp_path):
    """`mesh.refresh` ends the wait of the watch."""
    path = tmp_path / "orders.json"
    with FaultServer() as one:
        registry(path, one)
        with Mesh(discovery=f"file://{path}") as mesh, mesh.client("http://orders") as client:
            client.get("/")
            received = mesh.runtime.services["orders"].snapshot.received
            mesh.refresh("orders")
            mesh.refresh()
            until(lambda: mesh.runtime.services["orders"].snapshot.received > received)
