"""FaultServer over real sockets: what each fault looks like to a raw client and to httpx."""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from meshlib.testing import Fault, FaultServer, ReceivedRequest, Services
from meshlib.testing.fixtures import fake_clock, fault_server, mesh_services  # noqa: F401 - fixtures

pytestmark = pytest.mark.integration

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
ONCE = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="depends on how Linux's TCP fills its queues")


@pytest.fixture(scope="module")
def shared() -> Iterator[FaultServer]:
    """One server for the module; tests start with a fresh script."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(shared: FaultServer) -> FaultServer:
    """The shared server without script or memory."""
    shared.behave(default=Fault.ok())
    shared.requests.clear()
    return shared


@pytest.fixture
def client(server: FaultServer) -> Iterator[httpx.Client]:
    """Plain httpx on that server."""
    with httpx.Client(base_url=server.url, timeout=2.0, trust_env=False, verify=False) as client:
        yield client


def connect(server: FaultServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=2.0)


def everything(sock: socket.socket) -> tuple[bytes, str]:
    """All bytes until the connection ends, and how it ended."""
    got = b""
    while True:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            return got, "RST"
        except TimeoutError:
            return got, "open"
        if not data:
            return got, "FIN"
        got += data


def exchange(server: FaultServer, data: bytes = GET, timeout: float = 2.0) -> tuple[bytes, str]:
    with connect(server) as sock:
        sock.settimeout(timeout)
        sock.sendall(data)
        return everything(sock)


# Good answers.


def test_ok(server: FaultServer, client: httpx.Client) -> None:
    """Status, body and headers are the script's; then the default; requests are on record."""
    server.behave(Fault.ok(404, b"no", {"X-A": "1", "Content-Type": "text/x"}), Fault.ok(204))
    first = client.put("/a?b=c", content=b"data", headers={"X-Q": "2"})
    assert (first.status_code, first.content, first.headers["x-a"]) == (404, b"no", "1")
    assert first.headers.get_list("content-type") == ["text/x"]
    assert client.get("/").status_code == 204
    assert client.get("/").content == b"ok"
    put = server.requests[0]
    assert (put.method, put.target, put.body, put.header("x-q")) == ("PUT", "/a?b=c", b"data", "2")


def test_connections_are_reused(server: FaultServer, client: httpx.Client) -> None:
    """One pooled client needs one connection; both counters know it."""
    before = server.total_connections
    for _ in range(3):
        client.get("/")
    assert len({request.connection for request in server.requests}) == 1
    assert server.total_connections == before + 1
    assert server.open_connections == 1
    client.close()
    server.wait_for_connections(0)


def test_close_is_announced(server: FaultServer) -> None:
    """`close` says so in the head and does it; so does a client's own wish."""
    server.behave(Fault.ok(close=True))
    got, end = exchange(server)
    assert b"Connection: close" in got
    assert end == "FIN"
    got, end = exchange(server, b"GET / HTTP/1.0\r\n\r\n")
    assert b"Connection: close" in got
    assert end == "FIN"


def test_delay(server: FaultServer, client: httpx.Client) -> None:
    """The answer comes after its delay and not before."""
    server.behave(Fault.ok(delay=0.05))
    started = time.monotonic()
    assert client.get("/").status_code == 200
    assert time.monotonic() - started >= 0.05


def test_chunked_response(server: FaultServer, client: httpx.Client) -> None:
    """Two chunks, decoded by a client to one body; an empty body has none."""
    server.behave(Fault.ok(body=b"12345", chunked=True), Fault.ok(body=b"", chunked=True))
    response = client.get("/")
    assert (response.headers["transfer-encoding"], response.content) == ("chunked", b"12345")
    assert client.get("/").content == b""


def test_head_has_no_body(server: FaultServer, client: httpx.Client) -> None:
    """HEAD announces the length and sends nothing; the connection stays usable."""
    response = client.head("/")
    assert (response.headers["content-length"], response.content) == ("2", b"")
    assert client.get("/").content == b"ok"


def test_retry_after(server: FaultServer, client: httpx.Client) -> None:
    """A throttled answer carries its pause."""
    server.behave(Fault.retry_after(2), Fault.retry_after(0.5, status=429))
    assert [client.get("/").headers["retry-after"] for _ in range(2)] == ["2", "0.5"]


def test_request_bodies(server: FaultServer, client: httpx.Client) -> None:
    """Chunked uploads and large ones arrive whole."""
    large = b"x" * 1_000_000
    client.post("/", content=iter([b"one", b"two"]))
    client.post("/", content=large)
    assert [request.body for request in server.requests] == [b"onetwo", large]


def test_expect_continue(server: FaultServer) -> None:
    """A client that waits for leave gets it before its body is read."""
    with connect(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert server.requests == []
        sock.sendall(b"data")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.requests[0].body == b"data"


def test_bad_request(server: FaultServer) -> None:
    """Nonsense is answered with 400 and an explanation."""
    got, end = exchange(server, b"nonsense\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"not a request line" in got
    assert end == "FIN"
    assert server.requests == []


def test_behaviour_by_request(server: FaultServer, client: httpx.Client) -> None:
    """A function of the request chooses the fault; its mistakes are answered as 500 with the reason."""

    def by_path(request: ReceivedRequest) -> Fault:
        return {"/bad": Fault.ok(503), "/good": Fault.ok(200)}[request.path]

    server.behave(default=by_path)
    assert [client.get(path).status_code for path in ("/bad", "/good")] == [503, 200]
    mistake = client.get("/other")
    assert mistake.status_code == 500
    assert "KeyError('/other')" in mistake.text


# Broken answers.


def test_reset_before_head(server: FaultServer, client: httpx.Client) -> None:
    """RST and not a byte."""
    server.behave(Fault.reset_before_head(), Fault.reset_before_head(delay=0.02))
    assert exchange(server) == (b"", "RST")
    with pytest.raises(httpx.ReadError):
        client.get("/")


def test_reset_mid_head(server: FaultServer, client: httpx.Client) -> None:
    """A part of the head, then RST."""
    server.behave(Fault.reset_mid_head(), Fault.reset_mid_head())
    got, end = exchange(server)
    assert got.startswith(b"HTTP/1.1 200")
    assert b"\r\n\r\n" not in got
    assert end == "RST"
    with pytest.raises(httpx.ReadError):
        client.get("/")


@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize(("fault", "ending"), [(Fault.reset_mid_body, "RST"), (Fault.cut_body, "FIN")])
def test_half_a_body(server: FaultServer, fault: Callable[[bytes], Fault], ending: str, size: int) -> None:
    """Exactly half of what Content-Length says arrives, however large, before the end."""
    server.behave(fault(b"b" * size))
    got, end = exchange(server)
    head, _, body = got.partition(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    assert len(body) == size // 2
    assert end == ending


@pytest.mark.parametrize("chunked", [False, True])
def test_half_a_body_to_httpx(server: FaultServer, client: httpx.Client, chunked: bool) -> None:
    """The head is a good response; reading the body fails."""
    server.behave(Fault.reset_mid_body(chunked=chunked), Fault.cut_body(chunked=chunked))
    for error in (httpx.ReadError, httpx.RemoteProtocolError):
        with client.stream("GET", "/") as response:
            assert response.status_code == 200
            with pytest.raises(error):
                response.read()


def test_slow_body(server: FaultServer, client: httpx.Client) -> None:
    """The head is there at once, the body later."""
    server.behave(Fault.slow_body(0.1, b"late"), Fault.slow_body(0.1, b"late"))
    started = time.monotonic()
    assert client.get("/").content == b"late"
    assert time.monotonic() - started >= 0.1
    with connect(server) as sock:
        sock.sendall(GET)
        assert sock.recv(1000).endswith(b"\r\n\r\n")
        assert sock.recv(1000) == b"late"


def test_slow_body_meets_a_read_timeout(server: FaultServer, client: httpx.Client) -> None:
    """A client that gives up is noticed at once: no connection is left behind."""
    server.behave(Fault.slow_body(60.0))
    with pytest.raises(httpx.ReadTimeout):
        client.get("/", timeout=0.05)
    server.wait_for_connections(0)


@pytest.mark.parametrize("fault", [Fault.drip_head(0.002, 10), Fault.drip_body(0.002, 4)])
def test_drips_end_well(server: FaultServer, client: httpx.Client, fault: Fault) -> None:
    """A dripped response is a good one, and the connection goes on."""
    server.behave(fault)
    response = client.get("/")
    assert (response.status_code, response.content) == (200, fault.body)
    assert client.get("/").content == b"ok"
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize(("fault", "headed"), [(Fault.drip_head(0.02), False), (Fault.drip_body(0.02), True)])
def test_drips_come_byte_by_byte(server: FaultServer, fault: Fault, headed: bool) -> None:
    """Each byte resets a naive read timeout; the head is whole only when the body drips."""
    server.behave(fault)
    with connect(server) as sock:
        sock.sendall(GET)
        first = sock.recv(1000)
        assert (b"\r\n\r\n" in first) is headed
        assert max(len(sock.recv(1000)) for _ in range(3)) < 10  # 1, unless this process was held up


def test_half_close(server: FaultServer, client: httpx.Client) -> None:
    """The server's side ends without an answer while it still reads."""
    server.behave(Fault.half_close(), Fault.half_close())
    with connect(server) as sock:
        sock.sendall(GET)
        assert everything(sock) == (b"", "FIN")
        for _ in range(3):  # to a closed socket this would be a broken pipe
            sock.sendall(b"more")
            time.sleep(0.005)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")


def test_garbage(server: FaultServer, client: httpx.Client) -> None:
    """Bytes of another protocol."""
    server.behave(Fault.garbage(), Fault.garbage(b"HTTP/1.1 abc\r\n\r\n"))
    got, end = exchange(server)
    assert got.startswith(b"\x16\x03\x01")
    assert end == "FIN"
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")


def test_endless_headers(server: FaultServer, client: httpx.Client) -> None:
    """More head than any client should take; the server goes on until the client leaves."""
    server.behave(Fault.endless_headers(), Fault.endless_headers(), Fault.endless_headers(interval=0.01))
    with connect(server) as sock:
        sock.sendall(GET)
        got = b""
        while len(got) < 200_000:
            got += sock.recv(65536)
        assert b"\r\n\r\n" not in got
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")
    with connect(server) as sock:
        sock.sendall(GET)
        assert max(len(sock.recv(65536)) for _ in range(3)) < 1000
    server.wait_for_connections(0)


def test_hang(server: FaultServer, client: httpx.Client) -> None:
    """The request arrives and nothing comes back."""
    server.behave(Fault.hang(), Fault.hang())
    assert exchange(server, timeout=0.05) == (b"", "open")
    with pytest.raises(httpx.ReadTimeout):
        client.get("/", timeout=0.05)
    assert len(server.wait_for(2)) == 2
    server.wait_for_connections(0)


def test_close_idle(server: FaultServer) -> None:
    """A keep-alive response without a word about the end that follows."""
    server.behave(Fault.close_idle(0.01))
    got, end = exchange(server)
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b"close" not in got
    assert end == "FIN"


# Connects.


def test_refuse_and_restore() -> None:
    """Refused connects, closed connections, and the same address afterwards."""
    with FaultServer() as server, httpx.Client(timeout=2.0, trust_env=False, verify=False) as client:
        url = server.url
        assert client.get(url).status_code == 200
        server.refuse()
        server.wait_for_connections(0)
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                client.get(url)
        server.refuse()
        server.restore()
        server.restore()
        assert server.url == url
        assert client.get(url).status_code == 200
        assert len(server.requests) == 2


def test_refuse_within_a_script() -> None:
    """The answer before it is delivered, the one after it waits for `restore`."""
    with FaultServer() as server:
        server.behave(Fault.ok(body=b"last"), Fault.refuse(), Fault.ok(body=b"back"))
        assert exchange(server)[0].endswith(b"last")
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        server.restore()
        assert exchange(server, ONCE)[0].endswith(b"back")
        server.behave(Fault.refuse())
        with pytest.raises(ConnectionRefusedError):
            connect(server)


@linux_only
def test_blackhole() -> None:
    """Connects hang, connections that exist go on, and `restore` brings service back without our fillers."""
    with FaultServer() as server, connect(server) as old:
        old.sendall(GET)
        assert old.recv(1000).endswith(b"ok")
        server.blackhole()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                socket.create_connection((server.host, server.port), timeout=0.05)
        old.sendall(GET)
        assert old.recv(1000).endswith(b"ok")
        server.restore()
        assert exchange(server, ONCE)[0].endswith(b"ok")
        assert server.total_connections == 2


# Life.


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "fault-server" in thread.name}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@linux_only
def test_nothing_is_left() -> None:
    """Whatever was going on, after the block there is no thread and no socket."""
    threads_before, descriptors_before = threads(), descriptors()
    faults = [Fault.hang(), Fault.ok(delay=60.0), Fault.drip_body(60.0), Fault.ok(body=b"x" * 20_000_000)]
    with FaultServer(*faults) as server, FaultServer() as black, FaultServer() as refusing:
        black.blackhole()
        refusing.refuse()
        socks = [connect(server) for _ in faults]
        for sock in socks:
            sock.sendall(GET)
        idle = connect(server)
        server.wait_for(len(faults))
        assert len(threads() - threads_before) == 3
    for sock in (*socks, idle):
        sock.close()
    assert threads() == threads_before
    assert descriptors() == descriptors_before


def test_several_servers() -> None:
    """Instances do not share anything."""
    with FaultServer(Fault.ok(503)) as one, FaultServer() as two:
        assert one.port != two.port
        assert b" 503 " in exchange(one, ONCE)[0]
        assert b" 200 " in exchange(two, ONCE)[0]
        assert (len(one.requests), len(two.requests)) == (1, 1)


def test_start_and_stop() -> None:
    """Stopping twice is harmless, starting again keeps the port, commands to a stopped server are refused."""
    server = FaultServer()
    with pytest.raises(RuntimeError, match="does not run"):
        server.refuse()
    server.start()
    port = server.port
    with pytest.raises(RuntimeError, match="already runs"):
        server.start()
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    server.behave(Fault.ok(201))
    with server:
        assert server.port == port
        assert b" 201 " in exchange(server, ONCE)[0]


def test_taken_port() -> None:
    """A port that cannot be had is an error of `start`, in the caller's thread."""
    with FaultServer() as server, pytest.raises(OSError, match="in use"):
        FaultServer(port=server.port).start()


def test_waiting_too_long(server: FaultServer) -> None:
    """What did not come is named, with what did."""
    with pytest.raises(AssertionError, match=r"for 1 requests at .* have 0 requests"):
        server.wait_for(1, within=0.01)


@pytest.mark.asyncio
async def test_async_use() -> None:
    """`async with` and an async client in the same thread."""
    async with (
        FaultServer(Fault.ok(delay=0.02)) as server,
        httpx.AsyncClient(trust_env=False, verify=False) as client,
    ):
        responses = await asyncio.gather(*(client.get(server.url) for _ in range(5)))
    assert [response.content for response in responses] == [b"ok"] * 5


def test_fixtures(
    fault_server: FaultServer,  # noqa: F811
    mesh_services: Callable[..., Services],  # noqa: F811
) -> None:
    """The fixtures hand out running servers, and a URI for those of one service."""
    assert exchange(fault_server, ONCE)[0].endswith(b"ok")
    services = mesh_services(2)
    assert services.uri == f"static://{services[0].address},{services[1].address}"
    exchange(services[1], ONCE)
    assert list(services.counts.values()) == [0, 1]
    assert [server.port for server in services] == [services[0].port, services[1].port]
    assert len(services) == 2
    assert len(mesh_services()) == 3
