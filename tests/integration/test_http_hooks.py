"""Hooks around real calls: the two places where foreign code may stand."""

import asyncio

import pytest

from meshlib import ConfigError, Mesh
from meshlib.core.hook import AsyncHook, Hook
from meshlib.testing import Fault, FaultServer
from tests.integration.http_kit import Stack, uri

pytestmark = pytest.mark.integration


def mesh_of(stack, servers, hook):
    """orders on these servers, with a hook."""
    return stack.mesh({"orders": {"discovery": uri(*servers)}}, hooks=[hook])


class Seen(Hook):
    """Counts calls and attempts, and adds a header to both."""

    def __init__(self):
        self.calls = 0
        self.attempts = []

    def around_call(self, request, proceed):
        """Once a call."""
        self.calls += 1
        request.headers["x-call"] = str(self.calls)
        return proceed(request)

    def around_attempt(self, attempt, request, proceed):
        """Once an attempt."""
        self.attempts.append(attempt.node.address)
        return proceed(request)


class SeenAsync(AsyncHook):
    """Answers one path itself."""

    def __init__(self, http):
        self.http = http

    async def around_call(self, request, proceed):
        """The cached path never leaves."""
        if request.url.path == "/cached":
            return self.http.Response(200, text="kept")
        return await proceed(request)


def test_a_hook_stands_around_calls_and_attempts(stack: Stack):
    """One call of two attempts: once around the call, twice around an attempt, its header on the wire."""
    seen = Seen()
    with FaultServer() as one, FaultServer() as two:
        one.behave(default=Fault.ok(503))
        two.behave(Fault.ok(503))
        with (
            mesh_of(stack, (one, two), seen) as mesh,
            stack.client(mesh, "orders") as client,
        ):
            client.get("/")
            assert seen.calls == 1
            assert len(seen.attempts) >= 2
            assert {dict(request.headers)["x-call"] for request in (*one.requests, *two.requests)} == {"1"}


def test_an_async_hook_may_answer_itself(stack: Stack):
    """What it answers never reaches a server; everything else does."""

    async def main(mesh, server):
        async with stack.async_client(mesh, "orders") as client:
            assert (await client.get("/cached")).text == "kept"
            assert not server.requests
            assert (await client.get("/other")).status_code == 200
            assert len(server.requests) == 1

    with FaultServer() as server, mesh_of(stack, [server], SeenAsync(stack.http)) as mesh:
        asyncio.run(main(mesh, server))


def test_what_is_no_hook_is_refused():
    """By its type's name."""
    with pytest.raises(ConfigError, match="Hook and AsyncHook objects, got str"):
        Mesh(policy={}, hooks=["log"])
