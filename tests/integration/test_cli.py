"""Each command as a process of its own, against real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshlib.testing import Fault, FaultServer

pytestmark = pytest.mark.integration


def meshlib(*arguments: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MESHLIB_")}
    command = [sys.executable, "-m", "meshlib", *arguments]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
        cwd=cwd,
    )


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """One endpoint of `orders`."""
    with FaultServer() as one:
        yield one


def test_call(server: FaultServer) -> None:
    """The body on standard output, the attempts and the decisions on standard error."""
    done = meshlib("call", "http://orders/v1/x?secret=1", "--discovery", f"static://{server.address}", "-v")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok"
    assert f"attempt 1: {server.address} answered 200" in done.stderr
    assert "code gave its source" in done.stderr
    assert "secret" not in done.stderr


def test_call_with_a_body(server: FaultServer) -> None:
    """Data makes it a POST; headers go along; @- reads standard input."""
    arguments = ["call", "orders/v1", "--discovery", f"static://{server.address}", "-H", "X-A: b", "-d", "@-"]
    done = meshlib(*arguments, stdin="hello")
    assert done.returncode == 0, done.stderr
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1", b"hello")
    assert request.header("x-a") == "b"


def test_call_that_fails(server: FaultServer) -> None:
    """A failing response is printed all the same; the status is 1."""
    server.behave(default=Fault.ok(503))
    done = meshlib("call", "orders", "--discovery", f"static://{server.address}", "-v")
    assert done.returncode == 1
    assert "attempt 3" in done.stderr
    assert len(server.requests) == 3


def test_call_without_response(server: FaultServer) -> None:
    """No response: the error with its history, without a traceback."""
    server.refuse()
    done = meshlib("call", "orders", "--discovery", f"static://{server.address}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "failed after 3 attempts" in done.stderr
    assert "Traceback" not in done.stderr


def test_explain(server: FaultServer, tmp_path: Path) -> None:
    """From a document, with the endpoints that discovery lists, and nothing sent."""
    config = tmp_path / "meshlib.toml"
    config.write_text(
        f'version = 1\n[services.orders]\ntimeout = 2\ndiscovery = "static://{server.address}"\n'
    )
    done = meshlib("explain", "http://orders/v1", "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert "timeout = 2" in done.stdout
    assert "from services.orders" in done.stdout
    assert f"{server.address}" in done.stdout
    facts = json.loads(meshlib("explain", "orders", "--config", str(config), "--json").stdout)
    assert facts["clusters"][0]["nodes"][0]["address"] == server.address
    assert server.requests == []


def test_resolve_a_file(tmp_path: Path) -> None:
    """What the registry lists, with its source and age."""
    registry = tmp_path / "orders.toml"
    registry.write_text('endpoints = [{address = "10.0.0.1:80", zone = "a", labels = {version = "v1"}}]\n')
    done = meshlib("resolve", registry.as_uri())
    assert done.returncode == 0, done.stderr
    assert f"{registry.as_uri()}: 1 endpoint (" in done.stdout
    assert "looked at again in" in done.stdout
    assert "10.0.0.1:80  weight 100  priority 0  zone a  version=v1" in done.stdout
    facts = json.loads(meshlib("resolve", registry.as_uri(), "--json").stdout)
    assert facts["endpoints"][0]["labels"] == {"version": "v1"}


def test_resolve_fails(tmp_path: Path) -> None:
    """No answer is 1 and says why; an unknown scheme is 2 and lists the known ones."""
    done = meshlib("resolve", (tmp_path / "gone.toml").as_uri())
    assert done.returncode == 1
    assert "gone.toml" in done.stderr
    done = meshlib("resolve", "gopher://x")
    assert done.returncode == 2
    assert "known are dns, file" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process there")
def test_resolve_watch(tmp_path: Path) -> None:
    """--watch prints each change until Ctrl-C, which is 130 and no traceback."""
    registry = tmp_path / "orders.toml"
    registry.write_text('endpoints = [{address = "10.0.0.1:80"}]\n')
    command = [sys.executable, "-m", "meshlib", "resolve", registry.as_uri(), "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert len(json.loads(process.stdout.readline())["endpoints"]) == 1
        registry.write_text('endpoints = [{address = "10.0.0.1:80"}, {address = "10.0.0.2:80"}]\n')
        assert len(json.loads(process.stdout.readline())["endpoints"]) == 2
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said == ""


def test_doctor(tmp_path: Path) -> None:
    """Lines of ok, warn and fail; 1 when something fails, with what to do."""
    done = meshlib("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert all(line.startswith(("ok   ", "warn ", "     -> ")) for line in done.stdout.splitlines())
    config = tmp_path / "meshlib.toml"
    config.write_text("version = 1\n[services.orders]\ntimout = 2\n")
    done = meshlib("doctor", "--config", str(config), cwd=tmp_path)
    assert done.returncode == 1
    assert "fail policy" in done.stdout
    assert "did you mean 'timeout'?" in done.stdout


@pytest.mark.parametrize("command", ["call", "explain"])
def test_bad_configuration(command: str, tmp_path: Path) -> None:
    """Every problem of a document on standard error, with file and line; status 2; no traceback."""
    config = tmp_path / "meshlib.toml"
    config.write_text("version = 1\n[defaults]\ntimeout = -1\n[services.orders]\nretry = {attempts = 0}\n")
    done = meshlib(command, "http://orders", "--config", str(config))
    assert done.returncode == 2
    assert f"{config}:3: defaults.timeout" in done.stderr
    assert f"{config}:5: services.orders.retry.attempts" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["call"], ["call", "orders", "-H", "x"], ["resolve", "dns://a?frob=1"], ["demo", "--rate", "x"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """2, said on standard error."""
    done = meshlib(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_closed_pipe() -> None:
    """A reader that has had enough is no error worth a traceback."""
    command = [sys.executable, "-m", "meshlib", "explain", "orders", "--offline"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_without_rich(tmp_path: Path) -> None:
    """Every command's help works where rich is not installed."""
    (tmp_path / "rich.py").write_text("raise ImportError('hidden')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for name in ("demo", "resolve", "call", "explain", "doctor"):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "meshlib", name, "--help"],
            capture_output=True,
            timeout=30,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - began < 10
