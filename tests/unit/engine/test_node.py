"""Node: one word for its state."""

from __future__ import annotations

from meshlib.core.endpoint import Endpoint
from meshlib.engine import Node
from meshlib.resilience import NodeHealth


def test_faces() -> None:
    """What users and people read of it."""
    node = Node(Endpoint(host="::1", port=8080, labels={"version": "v1"}))
    assert (node.host, node.port, node.labels, node.address) == ("::1", 8080, {"version": "v1"}, "[::1]:8080")
    assert repr(node) == "<Node [::1]:8080 in_flight=0>"


def test_states() -> None:
    """Ready, unreachable, ejected, probing, panic, draining."""
    node = Node(Endpoint(host="a"))
    assert node.state(10.0) == "ready"
    node.barrier = 11.0
    assert node.state(10.0) == "unreachable"
    node.health = NodeHealth(10.0)
    node.health.ejected = True
    assert node.state(10.0) == "ejected"
    assert not node.usable(10.0)
    assert node.state(12.0) == "probing"
    assert node.usable(12.0)
    node.barrier = 0.0
    assert node.state(12.0) == "panic"
    node.departed = 12.0
    assert node.state(12.0) == "draining"
