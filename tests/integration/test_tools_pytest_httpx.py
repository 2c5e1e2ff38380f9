"""pytest-httpx replaces `handle_request` of httpx's transports: it mocks attempts. It knows httpx only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.tools_kit import ROOT, WIRES, needs

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("wire", WIRES)]

TESTS = """
import asyncio, httpx, meshlib, meshlib.httpx2, pytest
from meshlib.testing import FaultServer

OPTIONS = {"discovery": "static://127.0.0.1:9", "policy": {"wire": WIRE}}


def test_sync(httpx_mock):
    httpx_mock.add_response(url="http://orders/v1/42", status_code=503)
    httpx_mock.add_response(url="http://orders/v1/42", json={"id": 42})
    with meshlib.Client("http://orders", **OPTIONS) as client:
        response = client.get("/v1/42")
    assert response.json() == {"id": 42}
    assert len(response.extensions["meshlib"]["attempts"]) == len(httpx_mock.get_requests()) == 2


def test_async(httpx_mock):
    httpx_mock.add_exception(httpx.ReadError("gone"))
    httpx_mock.add_response(text="streamed")

    async def call():
        async with meshlib.AsyncClient("http://orders", **OPTIONS) as client:
            async with client.stream("GET", "/") as response:
                return await response.aread()

    assert asyncio.run(call()) == b"streamed"
    assert len(httpx_mock.get_requests()) == 2


def test_what_may_not_be_repeated_is_not(httpx_mock):
    httpx_mock.add_exception(httpx.ReadError("gone"))
    with meshlib.Client("http://orders", **OPTIONS) as client, pytest.raises(httpx.ReadError):
        client.post("/v1", json={})
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.httpx_mock(should_mock=lambda request: request.url.host != "orders")
def test_what_is_not_mocked(httpx_mock):
    with FaultServer() as server:
        uri = f"static://{server.address}"
        with meshlib.Client("http://orders", discovery=uri, policy=OPTIONS["policy"]) as client:
            assert client.get("/").status_code == 200
        assert len(server.requests) == 1


def test_blind(httpx_mock):
    with FaultServer() as server:
        uri = f"static://{server.address}"
        with meshlib.httpx2.Client("http://orders", discovery=uri, policy=OPTIONS["policy"]) as client:
            with pytest.warns(RuntimeWarning, match="pytest-httpx watches httpx .*=httpx2.MockTransport"):
                client.get("/")
        assert len(server.requests) == 1
"""


def test_its_fixture(wire: str, tmp_path: Path) -> None:
    """A test file of a user's, with both clients: mocked attempts are retried, what may not be is not, and blindness is told."""
    needs("pytest_httpx")
    (tmp_path / "test_user.py").write_text(f"WIRE = {wire!r}\n{TESTS}")
    off = [
        word
        for name in ("ddtrace", "respx", "asyncio", "anyio", "cacheprovider")
        for word in ("-p", f"no:{name}")
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            *off,
            "-c",
            os.devnull,
            "--rootdir",
            str(tmp_path),
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
