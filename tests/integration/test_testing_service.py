"""The small service as a real process."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from meshlib.testing import ServiceProcess
from meshlib.testing.received import ReceivedRequest
from meshlib.testing.service import Service, main

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared() -> Iterator[ServiceProcess]:
    """One process for the module."""
    with ServiceProcess("a") as service:
        yield service


@pytest.fixture
def service(shared: ServiceProcess) -> Iterator[ServiceProcess]:
    """The shared process, well again after the test."""
    yield shared
    shared.control(delay=0, fail=0, health=200)


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[httpx.Client]:
    """Plain httpx on that process."""
    with httpx.Client(base_url=service.url, timeout=2.0, trust_env=False, verify=False) as client:
        yield client


def test_answers(service: ServiceProcess, client: httpx.Client) -> None:
    """Every path tells who answered; bodies are read; HEAD has none."""
    for path in ("/", "/v1/orders/42?x=1"):
        assert client.get(path).json() == {"name": "a", "pid": service.pid}
    assert client.post("/", content=b"x" * 100_000).json()["name"] == "a"
    assert client.post("/", content=b"x", headers={"Expect": "100-continue"}).status_code == 200
    assert client.head("/").content == b""
    assert client.get("/health").json() == {"status": "ok"}


def test_control(service: ServiceProcess, client: httpx.Client) -> None:
    """Slow, failing, ill, and well again; the settings can be read."""
    settings = service.control(delay=0.05, fail=1, health=503)
    assert (settings["delay"], settings["fail"], settings["health"]) == (0.05, 1.0, 503)
    started = time.monotonic()
    assert client.get("/").status_code == 503
    assert time.monotonic() - started >= 0.05
    assert client.get("/health").status_code == 503
    served = service.control()["served"]
    service.control(fail=0, delay=0)
    assert client.get("/").status_code == 200
    assert service.control()["served"] == served + 1


@pytest.mark.parametrize(
    ("query", "reason"),
    [("speed=1", "unknown setting"), ("delay=x", "could not convert"), ("fail=2", "share from 0 to 1")],
)
def test_control_refuses(client: httpx.Client, query: str, reason: str) -> None:
    """A wrong setting is a 400 with the reason."""
    response = client.post(f"/_control?{query}")
    assert response.status_code == 400
    assert reason in response.json()["error"]


def test_control_is_for_this_machine(client: httpx.Client) -> None:
    """Not for web pages, not for other methods, not for other hosts."""
    assert client.post("/_control?fail=1", headers={"Origin": "http://evil"}).status_code == 403
    assert client.delete("/_control").status_code == 405
    request = ReceivedRequest(method="POST", target="/_control?fail=1")
    state = Service("a")
    assert state.answer(request, "10.0.0.9")[1] == 403
    assert state.fail == 0.0
    assert state.answer(request, "::ffff:127.0.0.1")[1] == 200


def test_control_raises_for_wrong_settings(service: ServiceProcess) -> None:
    """The Python side turns a refusal into ValueError."""
    with pytest.raises(ValueError, match="unknown setting 'speed'"):
        service.control(speed=1)


def test_failures_are_a_share() -> None:
    """`fail` is a probability, the same sequence for the same seed."""

    def statuses() -> list[int]:
        state = Service("a", seed=3)
        state.fail = 0.5
        request = ReceivedRequest(method="GET", target="/")
        return [state.answer(request, "127.0.0.1")[1] for _ in range(200)]

    assert statuses() == statuses()
    assert 70 < statuses().count(503) < 130


def test_bad_request(service: ServiceProcess) -> None:
    """Nonsense is answered with 400."""
    with socket.create_connection((service.host, service.port), timeout=2.0) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400")
        assert sock.recv(1000) == b""


def test_pipelined_requests_stay_in_order(service: ServiceProcess) -> None:
    """A delayed answer holds back the next on its connection."""
    service.control(delay=0.02)
    with socket.create_connection((service.host, service.port), timeout=2.0) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        got = b""
        while data := sock.recv(1000):
            got += data
    assert got.index(b'"pid"') < got.index(b'"status"')


def test_killed_and_back() -> None:
    """A crash refuses connects; the same object starts again on its port with its options."""
    service = ServiceProcess("b", fail=1.0)
    service.start()
    port = service.port
    service.kill()
    assert not service.running
    assert service.pid is None
    with pytest.raises(ConnectionRefusedError):
        service.control()
    with service:
        assert service.port == port
        assert service.control()["fail"] == 1.0
        with pytest.raises(RuntimeError, match="already runs"):
            service.start()
        rival = ServiceProcess("c", port=port)
        with pytest.raises(RuntimeError, match="ended with status 1"):
            rival.start()
    service.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_graceful_end(number: signal.Signals) -> None:
    """A signal lets the request in flight finish, closes idle connections, and ends with status 0."""
    service = ServiceProcess("d", delay=0.1).launch().ready()
    process = service._process
    assert process is not None
    with (
        socket.create_connection((service.host, service.port)),
        contextlib.closing(http.client.HTTPConnection(service.host, service.port, timeout=2.0)) as connection,
    ):
        connection.request("GET", "/")
        while not service.control()["served"]:
            time.sleep(0.005)
        process.send_signal(number)
        response = connection.getresponse()
        assert (response.status, response.getheader("connection")) == (200, "close")
        assert process.wait(2.0) == 0
    service.stop()


def test_orphan_ends() -> None:
    """A parent that dies without a word takes the service along."""
    program = (
        "import os, sys, meshlib.testing as t\n"
        "service = t.ServiceProcess('e').start()\n"
        "print(service.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.wait(5.0)
    parent.stdout.close()
    until = time.monotonic() + 3.0
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    return True


def test_runs_without_a_pipe() -> None:
    """With /dev/null as standard input, as in the background of a shell, it keeps running; its line is JSON."""
    command = [sys.executable, "-m", "meshlib.testing.service", "--name", "f"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert (line["name"], line["pid"], line["host"]) == ("f", process.pid, "127.0.0.1")
        assert select.select([process.stdout], [], [], 0.05)[0] == []
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(5.0)
        if process.stdout is not None:
            process.stdout.close()


def test_wrong_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Options are checked before anything starts."""
    with pytest.raises(SystemExit):
        main(["--fail", "7"])
    assert "share from 0 to 1" in capsys.readouterr().err
