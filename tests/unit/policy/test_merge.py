"""Merging: defaults, service, route, call; by key inside groups; with the origin of every key."""

from typing import Any

import pytest

from meshlib.balancing import BALANCERS
from meshlib.errors import ConfigError
from meshlib.policy import Origins, ServicePolicy, merge, parse
from meshlib.policy.merge import balancer_problems


def merged(*layers: dict[str, Any]) -> tuple[ServicePolicy, Origins]:
    """Up to four layers: defaults, service, route, call."""
    defaults, service, route, call = (*layers, {}, {}, {}, {})[:4]
    data = {
        "version": 1,
        "defaults": defaults,
        "services": {"s": {**service, "routes": [{"name": "r", **route}]}},
    }
    document = parse(data, "test")
    return merge(document, "s", document.services["s"].routes[0], call)


def test_nothing_set() -> None:
    """Without layers everything has its default and no origin."""
    document = parse({"version": 1}, "x")
    assert merge(document, "anything") == (ServicePolicy(), {})


def test_outer_layers_win_key_by_key() -> None:
    """Each layer changes only what it names, down to the keys of groups inside groups."""
    policy, origins = merged(
        {"timeout": 5, "retry": {"attempts": 5, "wait": {"base": "10ms"}}},
        {"retry": {"wait": {"cap": 1}}, "connect_timeout": "2s"},
        {"retry": {"attempts": 2}},
        {"timeout": "1s"},
    )
    assert policy.retry is not None
    assert (policy.timeout, policy.connect_timeout, policy.retry.attempts) == (1.0, 2.0, 2)
    assert (policy.retry.wait.base, policy.retry.wait.cap) == (0.01, 1.0)
    assert origins == {
        "timeout": "call",
        "connect_timeout": "services.s",
        "retry.attempts": "services.s.routes.r",
        "retry.wait.base": "defaults",
        "retry.wait.cap": "services.s",
    }


def test_groups_go_off_and_on() -> None:
    """`false` turns a group off; a table or `true` turns it on again with what was set before."""
    off = {"breaker": False}
    on = {"breaker": {"minimum_calls": 7}}
    assert merged(on, off)[0].breaker is None
    assert merged(on, off)[1]["breaker"] == "services.s"
    for again in ({"breaker": True}, {"breaker": {}}, {"breaker": {"window": 5}}):
        policy, origins = merged(on, off, again)
        assert policy.breaker is not None
        assert policy.breaker.minimum_calls == 7
        assert origins["breaker"] == "services.s.routes.r"
    assert merged({"hedge": True})[0].hedge is not None
    assert merged({"hedge": {"delay": 1}}, {"hedge": True})[0].hedge.delay == 1.0  # type: ignore[union-attr]


def test_groups_inside_groups_go_off_and_on() -> None:
    """The same for the budget inside retry, whose `true` keeps what is set."""
    budget = {"retry": {"budget": {"ratio": 0.5}}}
    policy, origins = merged(budget, {"retry": {"budget": False}})
    assert policy.retry is not None
    assert policy.retry.budget is False
    assert origins == {"retry.budget": "services.s"}
    assert merged(budget, {"retry": {"budget": True}})[0].retry.budget.ratio == 0.5  # type: ignore[union-attr]
    policy, origins = merged({"retry": {"budget": False}}, budget)
    assert policy.retry.budget.ratio == 0.5  # type: ignore[union-attr]
    assert origins == {"retry.budget.ratio": "services.s"}


def test_false_is_none_for_times() -> None:
    """TOML has no null: `false` is no deadline."""
    assert merged({"timeout": False})[0].timeout is None
    assert merged({}, {}, {}, {"timeout": None})[0].timeout is None


def test_another_balancer_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of one balancer are not given to another; the same name keeps them."""
    p2c = {"balancer": {"name": "p2c", "cost": "peak"}}
    assert merged(p2c)[0].balancer.options == {"cost": "peak"}
    policy, origins = merged(p2c, {"balancer": "round_robin"})
    assert (policy.balancer.name, policy.balancer.options) == ("round_robin", {})
    assert origins == {"balancer.name": "services.s"}
    assert merged(p2c, {"balancer": "p2c"})[0].balancer.options == {"cost": "peak"}
    assert merged({"balancer": {"cost": "peak"}})[0].balancer.name == "p2c"


def test_balancers_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's balancer whose import fails is a problem of the document, not a crash."""
    monkeypatch.setitem(BALANCERS._members, "broken", "meshlib.no_such_module:X")
    [(path, text)] = balancer_problems("broken", {})
    assert path == ("name",)
    assert "cannot be loaded" in text


def test_subsets_and_routes() -> None:
    """Subsets are joined by name; a service's routes replace those of the defaults."""
    data = {
        "version": 1,
        "defaults": {"subsets": {"a": {}, "b": {}}, "routes": [{"name": "d", "split": [{"subset": "a"}]}]},
        "services": {"s": {"subsets": {"b": {"labels": {"x": "y"}}}}, "t": {"routes": [{"name": "own"}]}},
    }
    document = parse(data, "x")
    policy, _ = merge(document, "s")
    assert (sorted(policy.subsets), policy.subsets["b"].labels) == (["a", "b"], {"x": "y"})
    assert [route.name for route in policy.routes] == ["d"]
    assert [route.name for route in merge(document, "t")[0].routes] == ["own"]


def test_a_call_that_does_not_fit() -> None:
    """A call's own keys are checked with the rest."""
    with pytest.raises(ConfigError, match=r"retry\.attempts: expected a whole number"):
        merged({}, {}, {}, {"retry": {"attempts": 0}})
