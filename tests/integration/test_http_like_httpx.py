"""What httpx documents stays httpx's: the same requests through a plain client and through ours, on the same server."""

from __future__ import annotations

import copy
import gzip
import io
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from meshlib.testing import Fault, FaultServer, ReceivedRequest
from tests.integration.http_kit import LONG, Kit, Side, in_flight, uri

pytestmark = pytest.mark.integration

HOST = "orders"


def echo(request: ReceivedRequest) -> Fault:
    """Everything that arrived, as JSON."""
    shown = {
        "method": request.method,
        "target": request.target,
        "headers": [[name.lower(), value] for name, value in request.headers],
        "body": request.body.decode("latin-1"),
    }
    return Fault.ok(
        body=json.dumps(shown).encode(),
        headers={"X-Seen": request.method},
        chunked="chunked" in request.target,
    )


def chunks(kit: Kit, *parts: bytes) -> Any:
    """A body made while it is sent."""

    def plain() -> Iterator[bytes]:
        yield from parts

    async def asynchronous() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return asynchronous() if kit.kind == "async" else plain()


BODIES: dict[str, Any] = {
    "none": lambda kit: {},
    "bytes": lambda kit: {"content": b"\x00\xffraw"},
    "json": lambda kit: {"json": {"a": [1, None, "x"]}},
    "form": lambda kit: {"data": {"a": "1 2", "b": ["3", "4"]}},
    "multipart": lambda kit: {
        "data": {"a": "1"},
        "files": {"f": ("f.txt", io.BytesIO(b"content"), "text/plain")},
        "headers": {"Content-Type": "multipart/form-data; boundary=fixed"},
    },
    "generator": lambda kit: {"content": chunks(kit, b"one", b"", b"two")},
    "large": lambda kit: {"content": b"x" * 300_000},
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("framing", ["counted", "chunked"])
def test_requests_and_responses_are_the_same(kit: Kit, body: str, framing: str) -> None:
    """Status, headers and body of every method, and what the server saw of it, match a plain client's."""
    with FaultServer() as server:
        server.behave(default=echo)
        base = {"params": {"q": "ä b"}, "headers": {"X-Own": "1"}}
        methods = (
            ["GET", "POST"]
            if body != "none"
            else ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "POST"]
        )
        with (
            kit.side(plain=True, base_url=f"{server.url}/v1", **base) as bare,
            kit.side(f"http://{HOST}/v1", discovery=uri(server), **base) as meshed,
        ):
            for method in methods:
                theirs = bare.request(method, f"/{framing}?x=1", **BODIES[body](kit))
                ours = meshed.request(method, f"/{framing}?x=1", **BODIES[body](kit))
                assert (ours.status_code, ours.reason_phrase) == (theirs.status_code, theirs.reason_phrase)
                assert ours.http_version == theirs.http_version == "HTTP/1.1"
                drop = {"content-length"}  # the two Host names differ in length
                assert {k: v for k, v in ours.headers.items() if k not in drop} == {
                    k: v for k, v in theirs.headers.items() if k not in drop
                }
                if method == "HEAD":
                    assert ours.content == b""
                    continue
                seen, expected = ours.json(), theirs.json()
                ours_host = dict(map(tuple, seen["headers"]))["host"]
                assert ours_host == HOST
                for one in (seen, expected):
                    one["headers"] = [pair for pair in one["headers"] if pair[0] != "host"]
                assert seen == expected
            assert in_flight(meshed.runtime) == 0


def test_clients_are_httpx_clients(kit: Kit) -> None:
    """isinstance and issubclass hold, and a response is the family's Response with what belongs to it."""
    assert issubclass(kit.Client, kit.http.Client)
    assert issubclass(kit.AsyncClient, kit.http.AsyncClient)
    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        assert isinstance(side.client, kit.http.AsyncClient if kit.kind == "async" else kit.http.Client)
        response = side.get("/a?secret=1")
        assert isinstance(response, kit.http.Response)
        assert response.elapsed.total_seconds() > 0
        assert str(response.request.url) == "http://orders/a?secret=1"
        assert response.history == []
        told = response.extensions["meshlib"]
        assert told["node"] == server.address
        assert told["cluster"] == "orders"
        assert [facts.number for facts in told["attempts"]] == [1]
        assert set(told) == {"attempts", "cluster", "node", "budget", "variant"}


def test_responses_pickle_and_copy(kit: Kit) -> None:
    """As httpx's responses do, and `raise_for_status` still works on the copy."""
    with (
        FaultServer(Fault.ok(404, b"no")) as server,
        kit.side("orders", discovery=uri(server)) as side,
    ):
        response = side.get("/")
        for twin in (pickle.loads(pickle.dumps(response)), copy.copy(response), copy.deepcopy(response)):
            assert (twin.status_code, twin.content, twin.request.url) == (404, b"no", response.request.url)
            with pytest.raises(kit.http.HTTPStatusError):
                twin.raise_for_status()


def test_gzip_bodies_are_decoded(kit: Kit) -> None:
    """Buffered and streamed."""
    packed = Fault.ok(body=gzip.compress(b"plain text"), headers={"Content-Encoding": "gzip"})
    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        server.behave(default=packed)
        assert side.get("/").content == b"plain text"
        response = side.open("GET", "/")
        assert side.read(response) == b"plain text"
        assert in_flight(side.runtime) == 0


def test_streamed_down(kit: Kit) -> None:
    """Chunks arrive as they come, and `num_bytes_downloaded` counts."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        server.behave(default=Fault.ok(body=LONG, chunked=True))
        response = side.open("GET", "/")
        assert in_flight(side.runtime) == 1
        if kit.kind == "sync":
            got = b"".join(response.iter_raw())
        else:

            async def all_parts() -> bytes:
                return b"".join([part async for part in response.aiter_raw()])

            got = side.run(all_parts())
        assert got == LONG
        assert response.num_bytes_downloaded == len(LONG)
        assert in_flight(side.runtime) == 0


def test_hooks_run_in_httpx_order(kit: Kit) -> None:
    """Request and response hooks, for every hop, in the order of a plain client."""

    def log_of(side: Side) -> list[str]:
        log: list[str] = []

        def before(request: Any) -> None:
            log.append(f"> {request.url.path}")

        def after(response: Any) -> None:
            log.append(f"< {response.status_code} {response.request.url.path} {response.is_closed}")

        async def before_async(request: Any) -> None:
            before(request)

        async def after_async(response: Any) -> None:
            after(response)

        first, last = (before_async, after_async) if kit.kind == "async" else (before, after)
        side.client.event_hooks = {"request": [first], "response": [last]}
        side.get("/from", follow_redirects=True)
        return log

    def route(request: ReceivedRequest) -> Fault:
        return Fault.ok(302, headers={"Location": "/to"}) if request.path == "/from" else Fault.ok()

    with FaultServer() as server:
        server.behave(default=route)
        with (
            kit.side(plain=True, base_url=server.url) as bare,
            kit.side("orders", discovery=uri(server)) as meshed,
        ):
            assert (
                log_of(meshed)
                == log_of(bare)
                == [
                    "> /from",
                    "< 302 /from False",
                    "> /to",
                    "< 200 /to False",
                ]
            )


def test_cookies_stay_with_the_client(kit: Kit) -> None:
    """Set on one instance, sent to all: cookies belong to the service's name."""

    def cookie(request: ReceivedRequest) -> Fault:
        headers = {"Set-Cookie": "session=7; Path=/"} if request.path == "/login" else {}
        return Fault.ok(body=request.header("cookie").encode(), headers=headers)

    with FaultServer() as a, FaultServer() as b:
        a.behave(default=cookie)
        b.behave(default=cookie)
        with kit.side("http://orders.internal", discovery=uri(a, b), cookies={"theme": "dark"}) as side:
            side.get("/login")
            for _ in range(6):
                assert side.get("/").text == "theme=dark; session=7"


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("orders", "/a", "/a"),
        ("http://orders/v1", "a", "/v1/a"),
        ("http://orders/v1/", "/a", "/v1/a"),
        ("http://orders", "http://orders/b?x=1", "/b?x=1"),
    ],
)
def test_target_is_the_base_url(kit: Kit, base: str, path: str, expected: str) -> None:
    """With its path, in the short form, and left out by an absolute URL."""
    with FaultServer() as server, kit.side(base, discovery=uri(server)) as side:
        side.get(path)
        assert server.requests[0].target == expected
        assert server.requests[0].header("host") == "orders"
