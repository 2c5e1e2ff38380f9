"""srv:// by RFC 2782."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.core.io import Answer, SrvRecord
from meshlib.discovery.srv import weights
from meshlib.errors import ConfigError, DiscoveryError

NAME = "_http._tcp.orders"


def record(target: str, port: int = 80, priority: int = 0, weight: int = 10, *addresses: str) -> SrvRecord:
    return SrvRecord(target=target, port=port, priority=priority, weight=weight, addresses=addresses)


def test_priorities_become_ranks_and_weights_stay(watched: Any, script: Any) -> None:
    """10 and 30 are ranks 0 and 1; the addresses beside the records are used."""
    script.records[NAME] = [
        Answer(records=(record("b", 2, 30, 5, "10.0.0.2"), record("a", 1, 10, 7, "10.0.0.1")), ttl=10.0)
    ]
    said = watched("srv://_http._tcp.orders")
    assert [(e.address, e.priority, e.weight) for e in said.sets[0].endpoints] == [
        ("10.0.0.1:1", 0, 7.0),
        ("10.0.0.2:2", 1, 5.0),
    ]
    assert script.sleeps == [9.0] * 3


def test_missing_addresses_are_looked_up(watched: Any, script: Any) -> None:
    """Their TTL counts, and their number shares the target's weight."""
    script.records[NAME] = [Answer(records=(record("a"),), ttl=50.0)]
    script.answers["a"] = [Answer(addresses=("10.0.0.1", "10.0.0.2"), ttl=20.0)]
    said = watched("srv://")
    assert [(e.host, e.weight) for e in said.sets[0].endpoints] == [("10.0.0.1", 5.0), ("10.0.0.2", 5.0)]
    assert script.sleeps[0] == 18.0


def test_both_families_beside_a_record_leave_the_choice_to_the_look_up(watched: Any, script: Any) -> None:
    """Only the look-up knows which family has a route; a stated family needs no question."""
    script.records[NAME] = [Answer(records=(record("a", 80, 0, 10, "10.0.0.1", "::1"),), ttl=50.0)]
    script.answers["a"] = [Answer(addresses=("::1",), ttl=50.0)]
    assert watched("srv://").addresses[0] == ["[::1]:80"]
    assert ("a", "auto", ()) in script.asked


@pytest.mark.parametrize(
    ("family", "hosts"), [("4", ["10.0.0.1"]), ("6", ["::1"]), ("all", ["10.0.0.1", "::1"])]
)
def test_stated_family_uses_what_the_answer_carried(
    watched: Any, script: Any, family: str, hosts: list[str]
) -> None:
    """No second question is asked."""
    script.records[NAME] = [Answer(records=(record("a", 80, 0, 10, "10.0.0.1", "::1"),), ttl=50.0)]
    said = watched(f"srv://?family={family}")
    assert [endpoint.host for endpoint in said.sets[0].endpoints] == hosts
    assert {name for name, _, _ in script.asked} == {NAME}


def test_failed_target_keeps_the_addresses_it_had(watched: Any, script: Any) -> None:
    """One target's trouble neither empties the set nor stops the others, and it is tried again soon."""
    script.records[NAME] = [Answer(records=(record("a", 1), record("b", 2)), ttl=50.0)]
    script.answers["a"] = [Answer(addresses=("10.0.0.1",), ttl=50.0)]
    script.answers["b"] = [Answer(addresses=("10.0.0.2",), ttl=50.0), DiscoveryError("lost")]
    said = watched("srv://")
    assert said.addresses == [["10.0.0.1:1", "10.0.0.2:2"]] * 3
    assert script.sleeps == [45.0, 4.5, 4.5]


def test_no_address_at_all_because_of_errors_is_an_error(watched: Any, script: Any) -> None:
    """It is no empty set."""
    script.records[NAME] = [Answer(records=(record("a"),), ttl=50.0)]
    script.answers["a"] = [DiscoveryError("lost")]
    said = watched("srv://")
    assert said.sets == []
    assert "lost" in str(said.error)


def test_no_record_is_an_empty_set(watched: Any, script: Any) -> None:
    """A target of "." or NXDOMAIN: the service is decidedly not there."""
    script.records[NAME] = [Answer(ttl=5.0)]
    assert watched("srv://").addresses == [[]] * 3


def test_zero_weights_have_the_small_chance_of_the_rfc() -> None:
    """All zeros together have 1 / (sum + 1); only zeros are all alike."""
    assert weights([record("a", weight=0), record("b", weight=0), record("c", weight=9)]) == [0.5, 0.5, 9.0]
    assert weights([record("a", weight=0), record("b", weight=0)]) == [100.0, 100.0]
    assert weights([record("a", weight=3)]) == [3.0]


def test_default_name_keeps_a_service_name(watched: Any, script: Any) -> None:
    """A logical name that is an SRV name already is not prefixed."""
    script.records["_grpc._tcp.pay"] = [Answer(ttl=5.0)]
    assert watched("srv://", service="_grpc._tcp.pay").sets


@pytest.mark.parametrize(
    "uri", ["srv://a,b", "srv://_http._tcp.a:80", "srv:///x", "srv://a?x=1", "srv://a?family=x"]
)
def test_wrong_uri(watched: Any, uri: str) -> None:
    """Refused with the way it is written."""
    assert isinstance(watched(uri).error, ConfigError)
