"""`mesh.server_ssl_context()` in the servers that it is for: strict, rotated without a restart, and the peer handed over."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import grpc
import pytest

from meshlib.mesh import Mesh
from meshlib.security import spiffe_id_of
from meshlib.security.context import client_context
from meshlib.security.credentials import Credentials
from meshlib.security.identity import identity_of
from tests.integration.http_kit import eventually
from tests.tls import Pki

pytestmark = [pytest.mark.integration, pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")]

SCRIPT = Path(__file__).with_name("tls_servers.py")
GUNICORN = """
import os
os.environ["TLS_CONFIG"] = {config!r}
import sys
sys.path.insert(0, {folder!r})
from tls_servers import mesh
bind = "127.0.0.1:{port}"
certfile, keyfile = {cert!r}, {key!r}
worker_class = {worker!r}
threads = {threads}
control_socket_disable = True

def ssl_context(config, default_ssl_context_factory):
    return mesh.server_ssl_context()
"""


def free_port() -> int:
    """Free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def command(kind, port, config, files, folder):
    """How a server is started."""
    if not kind.startswith("gunicorn"):
        return [sys.executable, str(SCRIPT), kind, str(port), str(config)]
    worker = kind.partition("-")[2]
    text = GUNICORN.format(
        config=str(config), folder=str(SCRIPT.parent), port=port, cert=files["cert"], key=files["key"],
        worker=worker, threads=4 if worker == "gthread" else 1,
    )  # fmt: skip
    (folder / "gunicorn.conf.py").write_text(text)
    return [sys.executable, "-m", "gunicorn", "-c", str(folder / "gunicorn.conf.py"), "tls_servers:wsgi"]


@contextmanager
def serving(kind, pki, folder):
    """The port of a server that is `orders`."""
    module = kind.partition("-")[0]
    if find_spec(module) is None:
        assert not os.environ.get("CI"), f"{module} is not installed"
        pytest.skip(f"pip install {module}")
    files = pki.write(folder, "orders")
    config = folder / "meshlib.toml"
    keys = ", ".join(f'{part} = "{path}"' for part, path in files.items())
    config.write_text(f'version = 1\n[defaults]\ntls = {{mode = "strict", {keys}}}\n')
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(kind, port, config, files, folder),
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment,
        )
        try:
            until = time.monotonic() + 20
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def context_of(pki, service=None):
    """A client's context, of a service or of nobody."""
    identity = identity_of(pki.ca, b"", b"") if service is None else pki.identity(service)
    return client_context(Credentials(identity), True, ("http/1.1",))


def get(port, context):
    """The answer of one new connection: process and peer; and the server's certificate."""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="orders") as secure,
    ):
        certificate = secure.getpeercert(True)
        secure.sendall(b"GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n")
        response = http.client.HTTPResponse(secure)
        response.begin()
        assert response.status == 200
        pid, _, peer = response.read().decode().partition(" ")
        return pid, peer, certificate


WEB = "spiffe://mesh.test/web"
SERVERS = {
    "uvicorn": "unsaid",
    "uvicorn-peer": WEB,
    "hypercorn": "unsaid",
    "gunicorn-sync": WEB,
    "gunicorn-gthread": WEB,
}
"""And what the application learns of who calls: docs/how-to/mutual-tls.md says the same."""


@pytest.mark.parametrize("kind", SERVERS)
def test_server(kind, tmp_path):
    """Strict refuses whoever shows no certificate; a new certificate is served by the same process; the peer is known where
    the server allows it."""
    pki = Pki()
    web, nobody = context_of(pki, "web"), context_of(pki)
    with serving(kind, pki, tmp_path) as port:
        pid, peer, first = get(port, web)
        assert peer == SERVERS[kind]
        with pytest.raises((OSError, http.client.HTTPException)):
            get(port, nobody)
        pki.write(tmp_path, "orders")
        eventually(lambda: get(port, web)[2] != first, 10.0)
        assert get(port, web)[:2] == (pid, peer)
        with pytest.raises((OSError, http.client.HTTPException)):
            get(port, nobody)


@contextmanager
def grpc_serving(credentials):
    """The port of a gRPC server whose one method answers who calls."""

    def who(request, context):
        return str(spiffe_id_of(context)).encode()

    handler = grpc.method_handlers_generic_handler("t", {"Who": grpc.unary_unary_rpc_method_handler(who)})
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((handler,))
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield port
        finally:
            server.stop(0).wait()


def who(port, pki, service=None):
    """Who the server says that we are."""
    issued = pki.issue(service) if service else None
    credentials = grpc.ssl_channel_credentials(
        pki.ca, issued.key if issued else None, issued.certificate if issued else None
    )
    options = [("grpc.ssl_target_name_override", "orders"), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        return channel.unary_unary("/t/Who")(b"", timeout=5).decode()


def test_grpc(tmp_path):
    """The same for gRPC, whose context hands the peer over."""
    pki = Pki()
    with Mesh(policy={"tls": pki.write(tmp_path, "orders")}, telemetry=False) as mesh:
        with grpc_serving(mesh.server_credentials()) as port:
            assert who(port, pki, "web") == WEB
            with pytest.raises(grpc.RpcError):
                who(port, pki)
            first = ssl.get_server_certificate(("127.0.0.1", port))
            pki.write(tmp_path, "orders")
            eventually(lambda: ssl.get_server_certificate(("127.0.0.1", port)) != first, 10.0)
            assert who(port, pki, "web") == WEB
        with grpc_serving(mesh.server_credentials(clients="permissive")) as port:
            assert who(port, pki) == "None"
