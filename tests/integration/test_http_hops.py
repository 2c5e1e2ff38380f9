"""Calls of several hops: redirects and authentication. One deadline and one deposit in the retry budget for all of them."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from meshlib.errors import DeadlineExceededError
from meshlib.mesh import Mesh
from meshlib.testing import Fault, FaultServer, ReceivedRequest
from tests.integration.http_kit import LONG, Kit, in_flight, uri

pytestmark = pytest.mark.integration


def to(where: str, status: int = 302) -> Fault:
    """A redirect."""
    return Fault.ok(status, headers={"Location": where})


def balance(side: Any, service: str = "orders") -> float:
    """What the service's retry budget holds now."""
    runtime = side.runtime
    budget = runtime.keep.budget(service, runtime.services[service].policy.retry.budget)
    found: float = budget.balance(runtime.clock())
    return found


@pytest.mark.parametrize("where", ["/next", "http://orders/next"])
def test_redirect_is_another_pick_of_the_same_call(kit: Kit, where: str) -> None:
    """Relative and absolute: followed through the mesh, with one deposit for both hops."""

    def answer(request: ReceivedRequest) -> Fault:
        return Fault.ok(body=b"there") if request.path == "/next" else to(where)

    with FaultServer() as a, FaultServer() as b, kit.side("orders", discovery=uri(a, b)) as side:
        a.behave(default=answer)
        b.behave(default=answer)
        one = side.get("/direct", follow_redirects=False)
        assert one.status_code == 302
        assert str(one.next_request.url) == "http://orders/next"  # type: ignore[union-attr]
        before = balance(side)
        response = side.get("/first", follow_redirects=True)
        assert response.text == "there"
        assert [str(hop.url) for hop in response.history] == ["http://orders/first"]
        assert balance(side) - before == pytest.approx(0.2, abs=0.05)
        assert in_flight(side.runtime) == 0


def test_redirect_to_another_service(kit: Kit) -> None:
    """A known service is balanced as itself, and credentials do not go along."""
    with FaultServer() as orders, FaultServer() as billing:
        orders.behave(default=to("http://billing/pay"))
        billing.behave(default=Fault.ok(body=b"paid"))
        services = {"orders": {"discovery": uri(orders)}, "billing": {"discovery": uri(billing)}}
        with (
            kit.mesh(services) as mesh,
            kit.side("orders", mesh=mesh, auth=("u", "p"), follow_redirects=True) as side,
        ):
            response = side.get("/")
            assert response.text == "paid"
            assert response.extensions["meshlib"]["cluster"] == "billing"
            assert billing.requests[0].header("host") == "billing"
            assert orders.requests[0].header("authorization")
            assert not billing.requests[0].header("authorization")


def test_redirect_to_an_address_goes_there(kit: Kit) -> None:
    """An address, of the service's own cluster or not, is not balanced again."""
    with FaultServer() as a, FaultServer() as b, kit.side("orders", discovery=uri(a, b)) as side:
        for server in (a, b):
            server.behave(
                default=lambda request: to(f"{b.url}/pinned") if request.path == "/" else Fault.ok()
            )
        for _ in range(5):
            response = side.get("/", follow_redirects=True)
            assert response.status_code == 200
            assert response.extensions["meshlib"]["node"] == b.address
        assert [request.path for request in a.requests] == ["/"] * len(a.requests)


def test_redirect_to_a_stranger_may_be_refused(kit: Kit, tmp_path: Path) -> None:
    """`unknown = "refuse"` holds for redirects, too."""
    with FaultServer(to("http://elsewhere.example/")) as server:
        config = tmp_path / "mesh.toml"
        config.write_text(
            f'version = 1\n[mesh]\nunknown = "refuse"\n[defaults]\nwire = "{kit.wire}"\n'
            f'[services.orders]\ndiscovery = "{uri(server)}"\n'
        )
        with (
            Mesh(config, telemetry=False) as mesh,
            kit.side("orders", mesh=mesh, follow_redirects=True) as side,
        ):
            with pytest.raises(Exception, match=r"elsewhere\.example"):
                side.get("/")
            assert in_flight(mesh) == 0


def test_redirect_loop_is_the_servers_own(kit: Kit) -> None:
    """httpx's TooManyRedirects, held against nobody."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), max_redirects=5) as side:
        server.behave(default=to("/again"))
        with pytest.raises(kit.http.TooManyRedirects):
            side.get("/", follow_redirects=True)
        assert len(server.requests) == 6
        assert in_flight(side.runtime) == 0


def test_one_deadline_over_all_hops(kit: Kit) -> None:
    """Redirects that each take a while do not add up beyond the timeout."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        server.behave(default=Fault.ok(302, headers={"Location": "/again"}, delay=0.1))
        started = time.monotonic()
        with pytest.raises(
            kit.http.TimeoutException
        ):  # the deadline's, or of the last hop that it left no time for
            side.get("/", follow_redirects=True, timeout=0.35)
        assert 0.25 < time.monotonic() - started < 0.9
        assert 3 <= len(server.requests) <= 7  # the last hops are tried again while there is time


def test_streamed_redirects_release_every_hop(kit: Kit) -> None:
    """The heads in between are closed; the last one is the caller's."""
    with (
        FaultServer(to("/b"), to("/c"), Fault.ok(body=LONG)) as server,
        kit.side("orders", discovery=uri(server)) as side,
    ):
        request = side.client.build_request("GET", "/a")
        response = side.run(side.client.send(request, stream=True, follow_redirects=True))
        assert in_flight(side.runtime) == 1
        side.shut(response)
        assert in_flight(side.runtime) == 0
        assert server.total_connections == 1


def test_basic_auth(kit: Kit) -> None:
    """Of the client, of the call, and of the URL."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), auth=("u", "p")) as side:
        side.get("/")
        side.get("/", auth=("v", "q"))
        side.client.auth = None
        side.get("http://w:r@orders/")
        sent = [request.header("authorization") for request in server.requests]
        assert sent == ["Basic dTpw", "Basic djpx", "Basic dzpy"]


def test_digest_auth(kit: Kit) -> None:
    """The challenge and the answer are two hops of one call."""

    def guarded(request: ReceivedRequest) -> Fault:
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.header("authorization")))
        if not given:
            challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
            return Fault.ok(401, headers={"WWW-Authenticate": challenge})
        first, second = (
            hashlib.md5(text.encode()).hexdigest() for text in ("u:r:p", f"GET:{request.target}")
        )
        expected = f"{first}:n:{given['nc']}:{given['cnonce']}:auth:{second}"
        good = given["response"] == hashlib.md5(expected.encode()).hexdigest()
        return Fault.ok(200 if good else 403)

    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        server.behave(default=guarded)
        before = None
        response = side.get("/x?y=1", auth=kit.http.DigestAuth("u", "p"))
        assert response.status_code == 200
        assert len(server.requests) == 2
        before = balance(side)
        assert side.get("/x", auth=kit.http.DigestAuth("u", "p")).status_code == 200
        assert balance(side) - before == pytest.approx(0.2, abs=0.05)


def token_auth(http: Any) -> Any:
    """Fetches a token with a request of its own making, then repeats when it has run out."""

    class TokenAuth(http.Auth):  # type: ignore[misc]
        requires_response_body = True

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            token = yield http.Request("POST", "http://orders/token", content=b"grant")
            request.headers["Authorization"] = f"Bearer {token.text}"
            response = yield request
            if response.status_code == 401:
                again = yield http.Request("POST", "http://orders/token", content=b"again")
                request.headers["Authorization"] = f"Bearer {again.text}"
                yield request

    return TokenAuth()


def test_custom_flow_is_one_call(kit: Kit) -> None:
    """Four hops, two of them the flow's own: one deposit, one deadline."""
    tokens = iter(["old", "new"] * 4)

    def guarded(request: ReceivedRequest) -> Fault:
        if request.path == "/token":
            return Fault.ok(body=next(tokens).encode(), delay=0.05)
        return Fault.ok(200 if request.header("authorization") == "Bearer new" else 401)

    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        server.behave(default=guarded)
        side.get("/token")
        next(tokens)
        before = balance(side)
        response = side.get("/x", auth=token_auth(kit.http))
        assert response.status_code == 200
        assert [request.path for request in server.requests[1:]] == ["/token", "/x", "/token", "/x"]
        assert balance(side) - before == pytest.approx(0.2, abs=0.05)
        with pytest.raises(DeadlineExceededError):
            side.get("/x", auth=token_auth(kit.http), timeout=0.08)
        assert in_flight(side.runtime) == 0


def test_flow_errors_pass_through(kit: Kit) -> None:
    """What the application's own flow raises is its own, and nothing stays behind."""

    class Broken(kit.http.Auth):  # type: ignore[misc, name-defined]
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            yield request
            raise LookupError("no such user")

    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        with pytest.raises(LookupError, match="no such user"):
            side.get("/", auth=Broken())
        assert in_flight(side.runtime) == 0
        assert side.get("/").status_code == 200
