"""EndpointSet: unique, ordered, comparable."""

from __future__ import annotations

from meshlib.core.endpoint import Endpoint
from meshlib.core.snapshot import EndpointSet


def test_first_of_a_key_wins() -> None:
    """Published order without duplicates."""
    found = EndpointSet(
        [Endpoint(host="b"), Endpoint(host="a"), Endpoint(host="b", zone="z")], source="dns://b"
    )
    assert [endpoint.host for endpoint in found.endpoints] == ["b", "a"]
    assert found.endpoints[0].zone == ""
    assert len(found) == 2
    assert repr(found) == "EndpointSet(2 endpoints from dns://b)"
    assert repr(EndpointSet(())) == "EndpointSet(0 endpoints from nowhere)"


def test_equality_is_by_endpoints() -> None:
    """Source and time of receipt do not matter, endpoints and their order do."""
    one = EndpointSet([Endpoint(host="a", labels={"v": "1"})], received=1.0)
    assert one == EndpointSet([Endpoint(host="a", labels={"v": "1"})], received=2.0, version="7")
    assert hash(one) == hash(EndpointSet([Endpoint(host="a", labels={"v": "2"})]))
    assert one != EndpointSet([Endpoint(host="a", labels={"v": "2"})])
    assert one != "a"
