"""A real call through SRV discovery by a real BIND 9, while the zone changes and the name server dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from meshlib import Client
from meshlib.testing import FaultServer
from tests.integration import bind

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running name server."""
    one = bind.Bind(tmp_path_factory.mktemp("bind"), bind.require_named())
    one.start()
    yield one
    one.stop()


def records(*servers: FaultServer) -> list[str]:
    """SRV records and the address of their target."""
    return [
        "here IN A 127.0.0.1",
        *(f"_http._tcp.orders IN SRV 0 10 {server.address.rpartition(':')[2]} here" for server in servers),
    ]


def called(client: Client, seconds: float, stop: Any) -> int:
    """Calls until `stop()` holds; every one must succeed. Returns how many were made."""
    count, end = 0, time.monotonic() + seconds
    while not stop():
        assert time.monotonic() < end, "it did not happen in time"
        assert client.get("/").status_code == 200
        count += 1
        time.sleep(0.005)
    return count


def test_calls_follow_the_zone_and_outlive_the_name_server(server: Any) -> None:
    """A new instance is called without any failure having to happen; a dead name server changes nothing."""
    with FaultServer() as one, FaultServer() as two:
        server.reload(records(one), ttl=1)
        uri = f"srv://_http._tcp.orders.{bind.ZONE}?{server.option}"
        with Client("http://orders", discovery=uri) as client:
            assert called(client, 10, lambda: one.requests) >= 1
            server.reload(records(one, two), ttl=1)
            called(client, 15, lambda: two.requests)
            server.stop()
            begin = time.monotonic()
            called(client, 20, lambda: time.monotonic() - begin > 3)
            two.refuse()
            called(client, 10, lambda: time.monotonic() - begin > 4)
