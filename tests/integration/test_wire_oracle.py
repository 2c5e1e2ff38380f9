"""The family's own transport is the oracle: the same requests through it and through the lean wire, compared byte for byte.

Both clients speak to the same scripted server under the same name. What the server saw, what the caller got, and whether the
connection was used again must agree. Where they differ on purpose, `ON_PURPOSE` says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from tests.integration.http_kit import FAMILIES, KINDS, Kit, Side
from tests.integration.oracle_cases import (
    BODIES,
    HANGING,
    HEADERS,
    METHODS,
    NOTHING,
    ON_PURPOSE,
    REPLIES,
    Purpose,
)
from tests.integration.raw_server import Peer, RawServer, deaf
from tests.integration.wire_kit import CALM, clean

pytestmark = [pytest.mark.integration, pytest.mark.wire]

MESH_HEADERS = re.compile(rb"(?im)^(?:traceparent|tracestate|x-envoy-[a-z-]+|x-meshlib-[a-z-]+): .*\r\n")


class Exchange(NamedTuple):
    """Everything of one exchange that somebody could see."""

    request: bytes
    head: tuple[Any, ...] | None
    content: bytes | None
    error: str | None
    kept: bool


class Pair:
    """The family's own client and ours, on one server."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.server = RawServer(self._script)
        self.server.__enter__()
        self.seen: dict[str, set[str]] = {}
        self.theirs = self._plain()
        self.ours = kit.made(
            "http://orders", discovery=f"static://{self.server.address}", policy={**CALM, "retry": False}
        )

    def _plain(self) -> Side:
        http, port = self.kit.http, self.server.port

        def moved(request: Any) -> Any:
            return http.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1", port=port),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )

        class Via(http.HTTPTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                return super().handle_request(moved(request))

        class AsyncVia(http.AsyncHTTPTransport):  # type: ignore[misc]
            async def handle_async_request(self, request: Any) -> Any:
                return await super().handle_async_request(moved(request))

        transport = AsyncVia() if self.kit.kind == "async" else Via()
        return self.kit.made(plain=True, base_url="http://orders", transport=transport)

    @staticmethod
    def _script(peer: Peer) -> None:
        while head := peer.head():
            name = unquote(head.split(b" ", 2)[1].partition(b"?")[0].decode()).rpartition("/")[2]
            if name == "deaf":
                deaf(peer)
                return
            if b"\r\nexpect: " in head.lower():
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            request = peer.request()
            if not request or not (REPLIES.get(name) or HANGING[name])(peer, request):
                return

    def same(self, case: str, *exchanges: tuple[str, bool, str, Callable[[str], Any]]) -> None:
        """Require that both sides agree on these (method, streamed, URL, options), but for what `ON_PURPOSE` says."""
        differ: set[str] = set()
        purpose = ON_PURPOSE.get(case, Purpose("", ""))
        for method, streamed, url, options in exchanges:
            theirs = self._exchange(self.theirs, streamed, method, url, options(self.kit.kind))
            ours = self._exchange(self.ours, streamed, method, url, options(self.kit.kind))
            found = {name for name in Exchange._fields if getattr(ours, name) != getattr(theirs, name)}
            assert found <= set(purpose.fields.split()), (method, streamed, ours, theirs)
            assert "error" not in found or ours.error == purpose.error
            differ |= found
        if case in ON_PURPOSE and purpose.always:
            self.seen[case] = differ
        clean(self.ours.runtime)

    def _exchange(self, side: Side, streamed: bool, method: str, url: str, options: Any) -> Exchange:
        requests = len(self.server.requests)
        head = content = error = None
        try:
            if streamed:
                response = side.open(method, url, **options)
                head = _head(response)
                try:
                    content = side.read(response)
                finally:
                    side.shut(response)
            else:
                response = side.request(method, url, **options)
                head, content = _head(response), response.content
        except Exception as failure:
            error = _name(self.kit.family, failure)
        told = self.server.requests
        request = MESH_HEADERS.sub(b"", told[-1]) if len(told) > requests else b""
        peers = len(self.server.peers)
        try:
            side.get("/counted")
        except self.kit.http.TransportError:
            peers = -1
        return Exchange(request, head, content, error, len(self.server.peers) == peers)

    def close(self) -> None:
        """Close all three."""
        self.theirs.close()
        self.ours.close()
        self.server.__exit__()


def _head(response: Any) -> tuple[Any, ...]:
    return (
        response.status_code,
        response.reason_phrase,
        response.http_version,
        response.headers.raw,
        response.encoding,
        dict(response.cookies),
        response.extensions.get("reason_phrase"),
    )


def _name(family: str, error: Exception) -> str:
    """The family's own class of an error that may be ours as well."""
    for found in type(error).__mro__:
        if found.__module__.partition(".")[0] == family:
            return found.__name__
    return type(error).__name__


@pytest.fixture(
    scope="module", params=[(kind, family) for family in FAMILIES for kind in KINDS], ids="-".join
)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Both clients, kept for all tests, so that connections are used again as in a program."""
    kind, family = request.param
    pytest.importorskip(family)
    made = Pair(Kit(kind, "lean", family))
    yield made
    made.close()


@pytest.mark.parametrize("body", BODIES)
def test_requests_are_the_same_on_the_wire(pair: Pair, body: str) -> None:
    """Every method with every body and framing: byte for byte what the family's own transport sends."""
    methods = (
        METHODS if pair.kit.family == "httpx" else ("GET", "PUT")
    )  # what writes is the same for all families
    exchanges = [(method, method == "PUT", "/counted", BODIES[body]) for method in methods]
    pair.same(f"body: {body}", *exchanges)


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_the_same_on_the_wire(pair: Pair, name: str) -> None:
    """Order, case and bytes; what must not be sent is refused by both."""
    for method, body in (("GET", None), ("POST", b"ok")):
        pair.same(
            f"header: {name}",
            (method, False, "/counted", lambda kind: {"content": body, "headers": HEADERS[name]}),  # noqa: B023
        )


def test_targets_are_the_same_on_the_wire(pair: Pair) -> None:
    """Paths and queries, and methods that nobody has heard of."""
    paths = (
        "/counted?q=a b&c=%2f",
        "/a//b/../counted",
        "/ä%20ü/counted?ß=€#part",
        "counted?",
        "/x;y=1/counted",
    )
    pair.same("targets", *(("GET", False, path, NOTHING) for path in paths))
    methods = ("PROPFIND", "get", "X-OWN", "TRACE")
    pair.same("methods", *((method, False, "/counted", NOTHING) for method in methods))
    odd = ("TWO WORDS", "GET\r\nX:", "")
    pair.same("method: no token", *((method, False, "/counted", NOTHING) for method in odd))


@pytest.mark.parametrize("name", REPLIES)
def test_responses_are_read_the_same(pair: Pair, name: str) -> None:
    """Every framing, coding and failure: head, content, class of the error, and whether the connection lives on."""
    ways = (("GET", False), ("GET", True), ("HEAD", False), ("POST", True))
    if pair.kit.family != "httpx":
        ways = ways[1:2]  # what reads is the same for all families
    pair.same(f"reply: {name}", *((method, streamed, f"/{name}", NOTHING) for method, streamed in ways))


TIMES: dict[str, tuple[dict[str, float], str]] = {
    # Which of the family's four timeouts, and who makes it run out.
    "read": ({"read": 0.03}, "/hang"),
    "read in the body": ({"read": 0.03}, "/hang in the body"),
    "write": ({"write": 0.03}, "/deaf"),
    "none of many pauses": ({"read": 0.2}, "/steady"),
}


@pytest.mark.parametrize("name", TIMES)
def test_timeouts_are_the_same(pair: Pair, name: str) -> None:
    """Of single operations; the head of a streamed response is there before its body is late."""
    if pair.kit.family != "httpx":
        return  # what waits is the same for all families, and waiting takes time
    timeouts, url = TIMES[name]
    timeout = pair.kit.http.Timeout(5.0, **timeouts)

    def options(kind: str) -> Any:
        return {"timeout": timeout, "content": b"x" * 8_000_000 if name == "write" else b""}

    both = (("POST", False, url, options), ("POST", True, url, options))
    pair.same(f"time: {name}", *(both[:1] if url == "/steady" else both))


def test_the_differences_are_those_that_stand_in_the_table(pair: Pair) -> None:
    """What the table tells of was seen by the tests above: an entry that is not true any more must go."""
    assert [case for case, fields in pair.seen.items() if not fields] == []
