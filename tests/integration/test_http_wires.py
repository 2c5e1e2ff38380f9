"""Which wire a request takes: the user's own transport, mounts, proxies, TLS settings, and ours under foreign clients."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from meshlib.errors import ConfigError
from meshlib.mesh import Mesh
from meshlib.testing import Fault, FaultServer, Services
from tests.integration.http_kit import LONG, Kit, in_flight, settled, uri
from tests.integration.http_tls import Authority, TlsServer

pytestmark = pytest.mark.integration


class Recorder:
    """A handler for a MockTransport that keeps what it saw."""

    def __init__(self, http: Any, status: int = 200) -> None:
        self.http = http
        self.seen: list[Any] = []
        self.status = status

    def __call__(self, request: Any) -> Any:
        self.seen.append(request)
        return self.http.Response(self.status, text=f"{request.method} {request.url}")


@pytest.mark.parametrize("target", ["", "http://orders"])
def test_mock_transport_needs_no_discovery(kit: Kit, target: str) -> None:
    """Every URL is its own endpoint, and goes out as it was written."""
    handler = Recorder(kit.http)
    with kit.side(target, transport=kit.http.MockTransport(handler)) as side:
        response = side.post("http://orders/a?b=1", content=b"x")
        assert response.text == "POST http://orders/a?b=1"
        assert handler.seen[0].content == b"x"
        assert side.get("https://other.example:8443/").text == "GET https://other.example:8443/"
        assert "meshlib" in response.extensions
        assert in_flight(side.runtime.unbalanced()) == 0


def test_mock_transport_with_discovery_sees_addresses(kit: Kit) -> None:
    """Each node's address is in the URL, the Host stays the service's name."""
    handler = Recorder(kit.http)
    with kit.side(
        "http://orders",
        discovery="static://10.0.0.1:81,[::1]:82",
        transport=kit.http.MockTransport(handler),
    ) as side:
        for _ in range(20):
            side.get("/x")
    assert {str(request.url) for request in handler.seen} == {"http://10.0.0.1:81/x", "http://[::1]:82/x"}
    assert {request.headers["host"] for request in handler.seen} == {"orders"}


def test_mock_transport_keeps_policy(kit: Kit) -> None:
    """Retries, also after an error that the handler raises; streams hold their lease, what is whole does not."""

    class Parts(kit.http.SyncByteStream, kit.http.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[bytes]:
            yield b"at last"

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"at last"

    answers = iter(
        [
            kit.http.ConnectError("refused"),
            kit.http.Response(503),
            kit.http.Response(200, stream=Parts()),
            kit.http.Response(200, text="whole"),
        ]
    )

    def handler(request: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with kit.side("orders", transport=kit.http.MockTransport(handler)) as side:
        response = side.open("GET", "/")
        assert in_flight(side.runtime.unbalanced()) == 1
        assert side.read(response) == b"at last"
        assert in_flight(side.runtime.unbalanced()) == 0
        assert [facts.cause for facts in response.extensions["meshlib"]["attempts"]] == [
            "unsent",
            "503",
            "ok",
        ]


def test_meshlib_transports_are_refused(kit: Kit) -> None:
    """Two engines would retry each other's retries."""
    with Mesh(discovery="static://127.0.0.1:1", telemetry=False) as mesh:
        ours = kit.transport(mesh)
        for options in ({"transport": ours}, {"mounts": {"http://a": ours}}):
            with pytest.raises(ConfigError, match="two engines"):
                kit.made("orders", **options)


def test_transport_is_entered_and_closed_with_the_client(kit: Kit) -> None:
    """As httpx does with it."""
    log: list[str] = []

    class Watched(kit.http.MockTransport):  # type: ignore[misc, name-defined]
        def __enter__(self) -> Any:
            log.append("enter")
            return self

        def close(self) -> None:
            log.append("close")

        async def __aenter__(self) -> Any:
            log.append("enter")
            return self

        async def aclose(self) -> None:
            log.append("close")

    if kit.kind == "sync":
        with kit.Client("orders", transport=Watched(Recorder(kit.http))) as client:
            client.get("/")
    else:

        async def use() -> None:
            async with kit.AsyncClient("orders", transport=Watched(Recorder(kit.http))) as client:
                await client.get("/")

        asyncio.run(use())
    assert log == ["enter", "close"]


def test_mounts_win_for_their_urls(kit: Kit) -> None:
    """A mounted URL leaves by its own transport and is not balanced; all others are."""
    handler = Recorder(kit.http)
    with (
        FaultServer() as server,
        kit.side(
            "orders",
            discovery=uri(server),
            mounts={"http://legacy": kit.http.MockTransport(handler), "http://x": None},
        ) as side,
    ):
        assert side.get("/").text == "ok"
        assert side.get("http://legacy/a").text == "GET http://legacy/a"
        assert len(server.requests) == len(handler.seen) == 1


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A loopback HTTP proxy: forwards to 127.0.0.1 by port, tunnels CONNECT; its URL and the request lines it saw."""
    lines: list[str] = []
    started = threading.Event()
    state: dict[str, Any] = {}

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines.append(head.decode().split("\r\n")[0])
            lines.extend(
                line for line in head.decode().split("\r\n") if line.lower().startswith("proxy-auth")
            )
            method, target, _ = head.split(b" ", 2)
            url = urlsplit(target.decode() if method != b"CONNECT" else f"https://{target.decode()}")
            path = url.path + (f"?{url.query}" if url.query else "")
            more, upstream = await asyncio.open_connection("127.0.0.1", url.port or 80)
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                upstream.write(head.replace(target, path.encode(), 1))
            await asyncio.gather(pump(reader, upstream), pump(more, writer))
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()

    async def main() -> None:
        state["loop"], state["stop"] = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        state["port"] = server.sockets[0].getsockname()[1]
        started.set()
        await state["stop"].wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(5.0)
    try:
        yield f"http://127.0.0.1:{state['port']}", lines
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join(5.0)


def test_proxy_argument_wins(kit: Kit) -> None:
    """Everything goes through it, by the URL's own name, with policy but unbalanced."""
    with FaultServer() as server, proxy() as (where, lines):
        with kit.side("orders", discovery="static://127.0.0.1:1", proxy=where) as side:
            server.behave(Fault.ok(503))
            response = side.get(f"http://somewhere.example:{server.port}/x")
            assert response.text == "ok"
            assert len(response.extensions["meshlib"]["attempts"]) == 2
        assert lines[0] == f"GET http://somewhere.example:{server.port}/x HTTP/1.1"


def test_environment_proxies_are_for_passed_through_hosts(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A balanced service does not go there; NO_PROXY and trust_env=False are obeyed; credentials are sent."""
    with FaultServer() as server, proxy() as (where, lines):
        monkeypatch.setenv("HTTP_PROXY", where.replace("http://", "http://user:pass@"))
        monkeypatch.setenv("http_proxy", where.replace("http://", "http://user:pass@"))
        monkeypatch.setenv("no_proxy", "direct.example,127.0.0.1")
        with kit.side("orders", discovery=uri(server)) as side:
            assert side.get("/").text == "ok"
            assert lines == []
            assert side.get(f"http://far.example:{server.port}/y").text == "ok"
            assert lines[0] == f"GET http://far.example:{server.port}/y HTTP/1.1"
            assert lines[1].lower() == "proxy-authorization: basic dxnlcjpwyxnz"
            assert side.get(f"{server.url}/z").text == "ok"
            assert len(lines) == 2
        with kit.side("orders", discovery=uri(server), trust_env=False) as side:
            with pytest.raises(kit.http.ConnectError):
                side.get(f"http://far.invalid:{server.port}/", timeout=2.0)
            assert len(lines) == 2


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A fresh one."""
    return Authority(tmp_path)


def trusting(authority: Authority) -> ssl.SSLContext:
    """A client's context that knows the authority."""
    return ssl.create_default_context(cafile=str(authority.path))


def test_tls_is_for_the_logical_name(kit: Kit, authority: Authority) -> None:
    """Connected by address, asked for and verified by name."""
    with TlsServer(authority.issue("orders.internal")) as server:
        discovery = f"static://{server.address}"
        with kit.side("https://orders.internal", discovery=discovery, verify=trusting(authority)) as side:
            for _ in range(3):
                assert side.get("/").text == "orders.internal|orders.internal|"
            assert server.connections == 1
            response = side.open("GET", "/")
            assert side.read(response) == b"orders.internal|orders.internal|"
        with kit.side("https://billing.internal", discovery=discovery, verify=trusting(authority)) as side:
            with pytest.raises(kit.http.ConnectError, match=r"(?i)certificate|hostname") as raised:
                side.get("/")
            assert raised.value.request.url.host == "billing.internal"


def test_tls_verification_settings(kit: Kit, authority: Authority) -> None:
    """Unknown authorities are refused by default, `verify=False` and a path are as in httpx."""
    with TlsServer(authority.issue("orders")) as server:
        discovery = f"static://{server.address}"
        side = kit.made("https://orders", discovery=discovery)
        with pytest.raises(kit.http.ConnectError, match=r"(?i)certificate"):
            side.get("/")
        side.close()
        with kit.side("https://orders", discovery=discovery, verify=False) as side:
            assert side.get("/").text == "orders|orders|"
        # A client of other settings on the same mesh does not get this one's connections.
        with (
            kit.mesh({"orders": {"discovery": discovery}}) as mesh,
            kit.side("https://orders", mesh=mesh, verify=False) as lax,
            kit.side("https://orders", mesh=mesh) as strict,
        ):
            assert lax.get("/").status_code == 200
            with pytest.raises(kit.http.ConnectError):
                strict.get("/")


def test_client_certificates(kit: Kit, authority: Authority) -> None:
    """In the context, as httpx wants it."""
    with TlsServer(authority.issue("orders"), clients=authority.path) as server:
        context = trusting(authority)
        context.load_cert_chain(authority.issue("web.client"))
        discovery = f"static://{server.address}"
        with kit.side("https://orders", discovery=discovery, verify=context) as side:
            assert side.get("/").text == "orders|orders|web.client"
        with kit.side(
            "https://orders", discovery=discovery, verify=trusting(authority), policy={"retry": False}
        ) as side:
            with pytest.raises(kit.http.TransportError):
                side.get("/")
            assert in_flight(side.runtime) == 0


def test_limits_bound_connections_per_endpoint(kit: Kit) -> None:
    """A full pool is nobody's failure."""
    with (
        Services(1) as services,
        kit.side(
            "orders",
            discovery=services.uri,
            limits=kit.http.Limits(max_connections=1),
            policy={"breaker": False},
        ) as side,
    ):
        services[0].behave(Fault.ok(body=LONG))
        held = side.open("GET", "/")
        with pytest.raises(kit.http.PoolTimeout):
            side.get("/", timeout=kit.http.Timeout(None, pool=0.1))
        (node,) = side.runtime.services["orders"].clusters[""].nodes.values()
        assert (node.failures, node.in_flight) == (0, 1)
        side.shut(held)
        assert side.get("/").status_code == 200
        assert services[0].total_connections <= 2


def test_foreign_clients_on_our_transport(kit: Kit) -> None:
    """Balanced, retried, streamed, and their connections closed with them."""
    with Services(2) as services:
        services[0].behave(default=Fault.ok(503))
        with kit.mesh({"orders": {"discovery": services.uri}}) as mesh:
            transport = kit.transport(mesh)
            with kit.side(plain=True, transport=transport, base_url="http://orders") as side:
                for _ in range(10):
                    assert side.get("/").text == "ok"
                services[1].behave(Fault.ok(body=LONG))
                response = side.open("GET", "/")
                assert in_flight(mesh) == 1
                side.shut(response)
                assert in_flight(mesh) == 0
            settled(services, 0)
