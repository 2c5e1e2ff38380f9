"""What is acquired is given back: leases, slots and connections, however a call, a stream, a client or a mesh ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import pytest

from meshlib.mesh import Mesh
from meshlib.testing import Fault, FaultServer, Services
from tests.integration.http_kit import LONG, Kit, Stack, eventually, in_flight, settled, uri

pytestmark = pytest.mark.integration

CALM = {"breaker": False, "ejection": False}


def mesh_of(stack: Stack, services: Services, **policy: Any) -> Mesh:
    """A mesh that knows `orders`."""
    return stack.mesh({"orders": {"discovery": services.uri, **CALM, **policy}})


def test_leases_last_until_the_stream_is_closed(kit: Kit) -> None:
    """In-flight count and limit slot: read to the end, closed half-way, or not read at all."""
    with Services(1) as services, mesh_of(kit, services, limit={"concurrency": 1}) as mesh:
        services[0].behave(default=Fault.ok(body=LONG))
        with kit.side("orders", mesh=mesh) as side:
            for ending in ("read", "close", "part"):
                response = side.open("GET", "/")
                assert in_flight(mesh) == 1
                if ending == "part":
                    parts = response.iter_raw(10) if kit.kind == "sync" else response.aiter_raw(10)
                    assert side.run(next(parts) if kit.kind == "sync" else anext(parts)) == b"x" * 10  # type: ignore[call-overload]
                    side.shut(response)
                    if kit.kind == "async":
                        side.run(parts.aclose())  # type: ignore[union-attr]
                else:
                    (side.read if ending == "read" else side.shut)(response)
                assert in_flight(mesh) == 0
                side.shut(response)
                assert in_flight(mesh) == 0
        settled(services, 0)


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_abandoned_streams_give_everything_back(kit: Kit, read: bool) -> None:
    """Never closed, only dropped: the next call finds lease, slot and connection free again."""
    with Services(1) as services, mesh_of(kit, services, limit={"concurrency": 3}) as mesh:
        services[0].behave(default=Fault.ok(body=b"x" * 3_000_000))
        limits = kit.http.Limits(max_connections=3)
        with kit.side("orders", mesh=mesh, limits=limits) as side:
            for _ in range(4):
                for _ in range(3):
                    response = side.open("GET", "/")
                    if read:
                        parts: Any = response.iter_raw(10) if kit.kind == "sync" else response.aiter_raw(10)
                        side.run(next(parts) if kit.kind == "sync" else anext(parts))
                        del parts
                    del response
                if kit.kind == "async":
                    side.run(asyncio.sleep(0.01))  # where asyncio ends dropped async generators
                gc.collect()
            assert in_flight(mesh) == 0
            last = side.open("GET", "/", timeout=2.0)
            assert last.status_code == 200
            side.shut(last)


def test_connections_are_reused(kit: Kit) -> None:
    """One for calls one after the other."""
    with Services(1) as services, kit.side("orders", discovery=services.uri) as side:
        for number in range(10):
            side.request("GET" if number % 2 else "POST", "/", content=b"x" * number)
        assert services[0].total_connections == 1
    settled(services, 0)


def test_errors_leave_no_connection_behind(kit: Kit) -> None:
    """Broken ones are closed, whole ones kept."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=CALM) as side:
        for fault in (Fault.cut_body(), Fault.garbage(), Fault.ok(503), Fault.reset_mid_head()):
            services[0].behave(default=fault)
            for _ in range(5):
                assert side.get("/").status_code == 200
        settled(services, 2)
    settled(services, 0)


def test_closed_clients_refuse_new_calls(kit: Kit) -> None:
    """With httpx's words."""
    with FaultServer() as server:
        side = kit.made("orders", discovery=uri(server))
        assert side.get("/").status_code == 200
        side.run(side.client.close() if kit.kind == "sync" else side.client.aclose())
        with pytest.raises(RuntimeError, match="client has been closed"):
            side.get("/")
        server.wait_for_connections(0)
        side.close()


def test_closed_meshes_refuse_new_calls(kit: Kit) -> None:
    """Also from clients that are still open, which may be closed afterwards."""
    with FaultServer() as server:
        mesh = kit.mesh({"orders": {"discovery": uri(server)}})
        with kit.side("orders", mesh=mesh) as side:
            assert side.get("/").status_code == 200
            mesh.close()
            with pytest.raises(RuntimeError, match="mesh is closed"):
                side.get("/")
            if kit.kind == "async":
                side.run(asyncio.sleep(0.01))
            server.wait_for_connections(0)


@pytest.mark.parametrize("who", ["client", "mesh"])
def test_calls_under_way_outlive_their_client(stack: Stack, who: str) -> None:
    """A buffered call, a redirect and a retry finish; a stream is read to its end; then nothing is open."""
    with Services(2) as services:
        mesh = mesh_of(stack, services)
        client = stack.client(mesh, "orders", follow_redirects=True)
        results: list[Any] = []

        def slowly(request: Any) -> Fault:
            match request.path:
                case "/redirect":
                    return Fault.ok(302, headers={"Location": "/"}, delay=0.2)
                case "/stream":
                    return Fault.drip_body(0.05, body=b"12345678")
            return Fault.ok(delay=0.2)

        services[0].behave(default=slowly)
        services[1].behave(Fault.ok(503, delay=0.1), Fault.ok(503, delay=0.1), default=slowly)
        threads = [
            threading.Thread(target=lambda path=path: results.append(client.get(path).status_code))
            for path in ("/", "/redirect", "/", "/redirect")
        ]
        streamed = client.send(client.build_request("GET", "/stream"), stream=True)
        while streamed.status_code == 503:
            streamed.close()
            streamed = client.send(client.build_request("GET", "/stream"), stream=True)
        for thread in threads:
            thread.start()
        assert eventually(lambda: in_flight(mesh) >= 4)
        (client if who == "client" else mesh).close()
        assert streamed.read() == b"12345678"
        for thread in threads:
            thread.join(5.0)
        assert results == [200] * 4
        assert in_flight(mesh) == 0
        settled(services, 0)
        client.close()
        mesh.close()


@pytest.mark.parametrize("who", ["client", "mesh"])
def test_async_calls_under_way_outlive_their_client(stack: Stack, who: str) -> None:
    """The same on a loop."""

    async def main(services: Services, mesh: Mesh) -> None:
        client = stack.async_client(mesh, "orders", follow_redirects=True)
        streamed = await client.send(client.build_request("GET", "/stream"), stream=True)
        calls = [asyncio.ensure_future(client.get(path)) for path in ("/", "/redirect") * 3]
        await asyncio.sleep(0.1)
        assert in_flight(mesh) == 7
        if who == "client":
            await client.aclose()
        else:
            mesh.close()
        assert await streamed.aread() == b"12345678"
        assert [(await call).status_code for call in calls] == [200] * 6
        assert in_flight(mesh) == 0
        await asyncio.sleep(0.02)
        await client.aclose()

    def slowly(request: Any) -> Fault:
        match request.path:
            case "/redirect":
                return Fault.ok(302, headers={"Location": "/"}, delay=0.2)
            case "/stream":
                return Fault.drip_body(0.05, body=b"12345678")
        return Fault.ok(delay=0.2)

    with Services(2) as services, mesh_of(stack, services) as mesh:
        for server in services:
            server.behave(default=slowly)
        asyncio.run(main(services, mesh))
        settled(services, 0)


def test_private_meshes_end_with_their_client(stack: Stack) -> None:
    """Also with the `with` block, and when the arguments were wrong."""
    with FaultServer() as server:
        with stack.Client("orders", policy=stack.policy(), discovery=uri(server)) as client:
            client.get("/")
        assert client._mesh.closed

        async def use() -> bool:
            async with stack.AsyncClient("orders", policy=stack.policy(), discovery=uri(server)) as client:
                await client.get("/")
            return client._mesh.closed

        assert asyncio.run(use())
        with pytest.raises(TypeError):
            stack.Client("orders", policy=stack.policy(), discovery=uri(server), nonsense=True)


def test_one_client_on_two_loops(stack: Stack) -> None:
    """Each loop has connections of its own; closing on one closes the other's, too."""
    with Services(2) as services, mesh_of(stack, services) as mesh:
        client = stack.async_client(mesh, "orders")
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        other = threading.Thread(target=second.run_forever, daemon=True)
        other.start()

        async def many() -> set[int]:
            answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
            return {answer.status_code for answer in answers}

        there = asyncio.run_coroutine_threadsafe(many(), second)
        assert first.run_until_complete(many()) == {200}
        assert there.result(5.0) == {200}
        assert in_flight(mesh) == 0
        first.run_until_complete(client.aclose())
        settled(services, 0)
        second.call_soon_threadsafe(second.stop)
        other.join(5.0)
        first.close()
        second.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_loops_that_ended_are_forgotten(stack: Stack) -> None:
    """A new asyncio.run for every call works, and leaves no pool of the old loops."""
    with Services(1) as services, mesh_of(stack, services) as mesh:
        client = stack.async_client(mesh, "orders")
        for _ in range(5):
            assert asyncio.run(client.get("/")).status_code == 200
        assert len(mesh.runtime.pools.all()) == 1
        asyncio.run(client.aclose())
        assert mesh.runtime.pools.all() == []
        del client
        gc.collect()


def test_trio_gets_a_clear_answer(stack: Stack) -> None:
    """Instead of a hang or a mystery."""
    trio = pytest.importorskip("trio")

    async def main() -> None:
        client = stack.AsyncClient("orders", policy=stack.policy(), discovery="static://127.0.0.1:1")
        with pytest.raises(RuntimeError, match="needs a running asyncio event loop"):
            await client.get("/")

    trio.run(main)


def test_a_thousand_clients_share_everything(stack: Stack) -> None:
    """One mesh: at most one background thread, one connection for calls one after the other."""
    with Services(1) as services, mesh_of(stack, services) as mesh:
        before = threading.active_count()
        clients = [stack.client(mesh, "orders") for _ in range(1000)]
        for client in clients:
            assert client.get("/").status_code == 200
        assert services[0].total_connections == 1
        assert threading.active_count() <= before + 1
        assert len(mesh.runtime.pools.all()) == 1
        for client in clients[:-1]:
            client.close()
        assert services[0].open_connections == 1
        clients[-1].close()
        settled(services, 0)


def test_cookies_and_headers_are_not_shared(stack: Stack) -> None:
    """Connections are the mesh's, everything else the client's."""
    with Services(1) as services, mesh_of(stack, services) as mesh:
        services[0].behave(default=Fault.ok(headers={"Set-Cookie": "a=1"}))
        with (
            stack.client(mesh, "orders", headers={"X-Who": "one"}) as one,
            stack.client(mesh, "orders") as two,
        ):
            one.get("/")
            two.get("/")
            one.get("/")
        seen = [(request.header("cookie"), request.header("x-who")) for request in services[0].requests]
        assert seen == [("", "one"), ("", ""), ("a=1", "one")]


def test_old_connections_are_replaced(stack: Stack) -> None:
    """`max_age` counts from the birth of a connection, `idle` from its last use."""
    with Services(1) as services:
        ageing = {"connections": {"max_age": 0.2, "max_age_jitter": 0}}
        with stack.Client("orders", discovery=services.uri, policy=stack.policy(ageing)) as client:
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                assert client.get("/").status_code == 200
                time.sleep(0.02)
        assert 2 <= services[0].total_connections <= 5
