"""What only httpx2 has: server-sent events, through the mesh."""

from __future__ import annotations

import pytest

from meshlib.testing import Fault, FaultServer
from tests.integration.http_kit import Kit, in_flight, uri

pytestmark = pytest.mark.integration

EVENTS = b"event: one\ndata: 1\n\ndata: 2\n\n"


def test_events_are_read_through_the_mesh(kit: Kit) -> None:
    """Opened like a stream, read like httpx2's own, and given back at the end."""
    if not hasattr(kit.http, "EventSource"):
        pytest.skip("httpx has no server-sent events of its own")
    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        server.behave(
            Fault.ok(503), default=Fault.ok(body=EVENTS, headers={"Content-Type": "text/event-stream"})
        )

        async def read() -> list[str]:
            async with side.client.sse("/events") as source:
                return [event.data async for event in source]

        if kit.kind == "async":
            seen = side.run(read())
        else:
            with side.client.sse("/events") as source:
                seen = [event.data for event in source]
        assert seen == ["1", "2"]
        assert [request.header("accept") for request in server.requests] == ["text/event-stream"] * 2
        assert in_flight(side.runtime) == 0
