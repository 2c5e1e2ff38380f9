"""Fork under load: the parent's calls do not notice, and the child calls with connections, threads and chance of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from meshlib.mesh import Mesh
from meshlib.testing import Fault, ReceivedRequest, Services
from meshlib.world.background import background
from tests.integration.http_kit import eventually, in_flight

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def forked(work: Callable[[], Any], within: float = 15.0) -> Any:
    """What `work` returns in a child, by JSON; fails when the child raises or hangs."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = json.dumps({"value": work()})
        except BaseException as error:
            answer = json.dumps({"error": repr(error)})
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    killer = threading.Timer(within, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    killer.cancel()
    os.waitpid(pid, 0)
    assert text, "the child hung or died"
    answer = json.loads(text)
    assert "error" not in answer, answer["error"]
    return answer["value"]


def named(name: str) -> Callable[[ReceivedRequest], Fault]:
    """Echoes a header, so that an answer meant for somebody else is noticed."""
    return lambda request: Fault.ok(body=f"{name} {request.header('x-who')}".encode(), delay=0.001)


class Load:
    """Threads that call without end; `wrong` keeps every failure and every answer that was not theirs."""

    def __init__(self, mesh: Mesh) -> None:
        self.wrong: list[str] = []
        self.calls = 0
        self.client = mesh.client("orders", timeout=5.0)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(4)]
        for thread in self._threads:
            thread.start()

    def _work(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                text = self.client.get("/", headers={"X-Who": f"parent-{number}"}).text
                if text.split()[1] != f"parent-{number}":
                    self.wrong.append(text)
            except Exception as error:
                self.wrong.append(repr(error))
            self.calls += 1

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)


@pytest.fixture
def services() -> Iterator[Services]:
    """Two instances that answer by name."""
    with Services(2) as found:
        for number, server in enumerate(found):
            server.behave(default=named(f"s{number}"))
        yield found


@pytest.fixture
def mesh(services: Services, tmp_path: Path) -> Iterator[Mesh]:
    """A mesh whose discovery runs on the background thread."""
    endpoints = tmp_path / "endpoints.json"
    endpoints.write_text(json.dumps({"endpoints": [{"address": server.address} for server in services]}))
    policy = {"services": {"orders": {"discovery": f"file://{endpoints}", "breaker": False}}}
    with Mesh(policy=policy, telemetry=False) as found:
        yield found


def calls_in_child(mesh: Mesh, client: httpx.Client) -> list[Any]:
    """Calls by an inherited client, by a new one, and by an async one: whether all answers were right, and who is there."""
    right = True
    with mesh.client("orders") as fresh:
        for one in (client, fresh):
            for _ in range(20):
                right &= (
                    one.get("/", headers={"X-Who": f"child-{os.getpid()}"}).text.split()[1]
                    == f"child-{os.getpid()}"
                )

    async def more() -> bool:
        async with mesh.async_client("orders") as asynchronous:
            answers = await asyncio.gather(
                *(asynchronous.get("/", headers={"X-Who": "c"}) for _ in range(10))
            )
        return all(answer.text.split()[1] == "c" for answer in answers)

    right &= asyncio.run(more())
    # Newly asked, so that the child's own background thread has something to do.
    mesh.refresh()
    running = eventually(lambda: background().running, 5.0)
    return [right, running, in_flight(mesh)]


def test_fork_under_load(services: Services, mesh: Mesh) -> None:
    """Children are made while every thread of the parent is in the middle of a call."""
    load = Load(mesh)
    try:
        assert eventually(lambda: load.calls > 50)
        for _ in range(5):
            assert forked(lambda: calls_in_child(mesh, load.client)) == [True, True, 0]
        before = load.calls
        assert eventually(lambda: load.calls > before + 50)
    finally:
        load.stop()
    assert load.wrong == []
    assert in_flight(mesh) == 0
    load.client.close()


def test_child_uses_no_connection_of_the_parent(services: Services, mesh: Mesh) -> None:
    """Not for calls, not when it closes things, not when it exits."""
    client = mesh.client("orders")
    assert client.get("/", headers={"X-Who": "p"}).status_code == 200
    open_before = {server.address: server.open_connections for server in services}

    def child() -> list[bool]:
        answers = [client.get("/", headers={"X-Who": "c"}).text.endswith(" c") for _ in range(5)]
        client.close()
        mesh.close()
        return answers

    assert forked(child) == [True] * 5
    seen: dict[str, set[int]] = {"p": set(), "c": set()}
    for number, server in enumerate(services):
        for request in server.requests:
            seen[request.header("x-who")].add(number * 1000 + request.connection)
    assert not seen["p"] & seen["c"]
    assert eventually(lambda: {server.address: server.open_connections for server in services} == open_before)
    for _ in range(5):
        assert client.get("/", headers={"X-Who": "p"}).text.endswith(" p")
    assert sum(server.total_connections for server in services) <= 4
    client.close()


def test_parents_close_reaches_the_server(services: Services, mesh: Mesh) -> None:
    """A child that lives on does not keep the parent's connections open."""
    client = mesh.client("orders")
    client.get("/")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        os.close(reading)
        client.close()
        for server in services:
            server.wait_for_connections(0)
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def test_fork_in_the_middle_of_a_stream(services: Services, mesh: Mesh) -> None:
    """The child may close or drop what it inherited; the parent reads on."""
    for server in services:
        server.behave(default=Fault.drip_body(0.02, body=b"0123456789"))
    client = mesh.client("orders")
    with client.stream("GET", "/") as response:
        parts = response.iter_raw()
        first = next(parts)

        def child() -> bool:
            response.close()
            return client.get("/").content == b"0123456789"

        assert forked(child)
        assert first + b"".join(parts) == b"0123456789"
    assert in_flight(mesh) == 0
    client.close()


def test_fork_with_a_running_loop(services: Services, mesh: Mesh) -> None:
    """The loop's sockets stay in the parent's epoll set: its tasks go on while children come and go."""

    async def main() -> None:
        async with mesh.async_client("orders") as client:
            wrong: list[str] = []
            stop = False

            async def work(number: int) -> int:
                calls = 0
                while not stop:
                    text = (await client.get("/", headers={"X-Who": f"t{number}"})).text
                    if not text.endswith(f" t{number}"):
                        wrong.append(text)
                    calls += 1
                return calls

            tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
            await asyncio.sleep(0.1)
            for _ in range(3):
                asking = asyncio.get_running_loop().run_in_executor(
                    None, forked, lambda: calls_in_child(mesh, mesh.client("orders"))
                )
                assert await asking == [True, True, 0]
            stop = True
            assert all(calls > 10 for calls in await asyncio.gather(*tasks))
            assert wrong == []

    asyncio.run(main())
    assert in_flight(mesh) == 0


def test_children_draw_different_numbers(mesh: Mesh) -> None:
    """Eight children of one parent do not all pick, wait and trace alike."""
    with mesh.client("orders") as client:
        client.get("/")
        draws = [forked(lambda: [mesh.runtime.random() for _ in range(3)])[0] for _ in range(8)]
    assert len(set(draws)) == 8


def work_of_multiprocessing(target: str, results: Any) -> None:
    """A worker that builds a client of its own, as applications do."""
    from meshlib.transport.client import Client

    with Client("orders", discovery=target) as client:
        results.put([client.get("/", headers={"X-Who": "w"}).text.split()[1] for _ in range(10)])


def test_multiprocessing(services: Services, mesh: Mesh) -> None:
    """The fork start method, under load."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    load = Load(mesh)
    try:
        assert eventually(lambda: load.calls > 20)
        workers = [
            context.Process(target=work_of_multiprocessing, args=(services.uri, results)) for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            assert results.get(timeout=20) == ["w"] * 10
        for worker in workers:
            worker.join(10)
            assert worker.exitcode == 0
    finally:
        load.stop()
        load.client.close()
        results.close()
        results.join_thread()
    assert load.wrong == []


APPLICATION = """
import os, threading, time
from meshlib import Client

client = Client("http://orders", discovery=os.environ["TARGET"], timeout=5)
preloaded = [client.get("/", headers={"X-Who": "master"}).text for _ in range(5)]

def app(environ, start_response):
    who = f"{os.getpid()}-{threading.get_ident()}"
    text = client.get("/", headers={"X-Who": who}).text
    right = text.split()[1] == who
    body = f"{os.getpid()} {right} {client._mesh.random()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_gunicorn_preload(services: Services, tmp_path: Path) -> None:
    """A client made and used in the master works in every worker, each with connections and chance of its own."""
    pytest.importorskip("gunicorn")
    (tmp_path / "application.py").write_text(APPLICATION)
    environment = {**os.environ, "TARGET": services.uri, "PYTHONWARNINGS": "ignore"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "-w",
        "4",
        "--threads",
        "4",
        "-b",
        "127.0.0.1:0",
    ]
    with subprocess.Popen(
        [*command, "--log-level", "info", "application:app"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as master:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(master.stderr.readline, "")))  # type: ignore[union-attr]
        reader.start()
        try:
            assert eventually(lambda: sum("Booting worker" in line for line in lines) == 4, 20.0), lines
            listening = next(line for line in lines if "Listening at" in line)
            port = int(listening.rsplit("127.0.0.1:", 1)[1].split()[0])
            answers: list[list[str]] = []

            def ask() -> None:
                # A connection a call, so that all workers have their turn.
                with httpx.Client(timeout=10, headers={"Connection": "close"}) as asking:
                    for _ in range(25):
                        answers.append(asking.get(f"http://127.0.0.1:{port}/").text.split())

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        finally:
            master.terminate()
            master.wait(15)
            reader.join(5)
    assert len(answers) == 200
    assert {right for _, right, _ in answers} == {"True"}
    assert len({pid for pid, _, _ in answers}) >= 2
    assert len({draw for _, _, draw in answers}) == 200
    connections: dict[tuple[str, int], set[str]] = {}
    for server in services:
        for request in server.requests:
            owner = request.header("x-who").split("-")[0]
            connections.setdefault((server.address, request.connection), set()).add(owner)
    assert all(len(owners) == 1 for owners in connections.values())
    assert not any("Traceback" in line for line in lines)
