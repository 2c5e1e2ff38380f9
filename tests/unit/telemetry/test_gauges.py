"""States as numbers."""

from __future__ import annotations

from meshlib.telemetry import names
from meshlib.telemetry.gauges import read_states

ORDERS = (("meshlib.service", "orders"),)


def with_cluster(subset: str, **cluster: object) -> dict[str, object]:
    return {"services": {"orders": {"clusters": {subset: cluster}}}}


def test_breaker_state_is_one_hot() -> None:
    """The state that holds is 1, the others are 0."""
    reading = read_states([{"services": {"orders": {"breaker": {"state": "open"}}}}])
    found = {dict(labels)[names.STATE]: value for labels, value in reading[names.BREAKER_STATE].items()}
    assert found == {"closed": 0.0, "open": 1.0, "half-open": 0.0}


def test_nodes_are_added_up() -> None:
    """Without sums of the cluster the nodes are counted by state."""
    nodes = [{"state": "ready", "in_flight": 2}, {"state": "ejected", "in_flight": 0}, {"in_flight": 1}]
    reading = read_states([with_cluster("v2", nodes=nodes)])
    cluster = (*ORDERS, ("meshlib.cluster", "orders/v2"))
    assert reading[names.ENDPOINTS] == {
        (*cluster, ("meshlib.state", "ready")): 2,
        (*cluster, ("meshlib.state", "ejected")): 1,
    }
    assert reading[names.IN_FLIGHT] == {cluster: 3}


def test_sums_of_a_cluster_win() -> None:
    """A state that brings sums has no nodes walked."""
    reading = read_states(
        [with_cluster("", endpoints={"ready": 9000}, in_flight=4, nodes=[{"in_flight": 99}])]
    )
    assert sum(reading[names.ENDPOINTS].values()) == 9000
    assert list(reading[names.IN_FLIGHT].values()) == [4]


def test_several_meshes_fold() -> None:
    """Of two meshes with the same service things add up, the older age and the smaller balance show."""
    one = {
        "services": {
            "orders": {
                "discovery": {"age": 3.0},
                "budget": {"balance": 10},
                "clusters": {"": {"in_flight": 1}},
            }
        }
    }
    two = {
        "services": {
            "orders": {
                "discovery": {"age": 9.0},
                "budget": {"balance": 4},
                "clusters": {"": {"in_flight": 2}},
            }
        }
    }
    reading = read_states([one, two])
    assert reading[names.DISCOVERY_AGE] == {ORDERS: 9.0}
    assert reading[names.BUDGET_BALANCE] == {ORDERS: 4}
    assert list(reading[names.IN_FLIGHT].values()) == [3]


def test_what_is_missing_is_left_out() -> None:
    """An empty state, and groups that are turned off (None), give no numbers."""
    assert read_states([{}]) == {}
    off = {
        "policy": None,
        "services": {"orders": {"breaker": None, "budget": None, "discovery": {"age": None}}},
    }
    assert read_states([off]) == {}
