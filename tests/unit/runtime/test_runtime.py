"""The runtime: services at their first call, policy swapped under them."""

import gc
import weakref

import pytest

from meshlib.core.listener import Listener
from meshlib.core.uri import service_key
from meshlib.engine.keep import KEPT_FOR
from meshlib.errors import ConfigError
from meshlib.policy import PolicySnapshot, document_of
from meshlib.runtime.plain import PlainRequest, family_of
from meshlib.runtime.runtime import Runtime
from meshlib.testing.clock import FakeClock

FAMILY = family_of((ConnectionError,))


class Heard(Listener):
    """Collects events."""

    def __init__(self):
        self.events = []

    def event(self, event):
        """Keep it."""
        self.events.append(event)


def snapshot(version="1", **keys):
    """A policy as code gives it."""
    return PolicySnapshot(document_of(keys), version, "code")


def runtime(clock=None, listener=None, **keys):
    """A runtime on virtual time."""
    return Runtime(snapshot(**keys), clock=clock or FakeClock(), listener=listener, seed=7)


def plan(of, service="orders"):
    """The plan of a plain call."""
    return of.plan(FAMILY, PlainRequest(service))


ORDERS = {"services": {"orders": {"discovery": "static://10.0.0.1:80,10.0.0.2:80"}}}


def addresses(of, service="orders"):
    """The nodes' addresses of a service."""
    return sorted(node.address for node in plan(of, service).cluster.nodes.values())


def test_a_static_service_is_ready_at_once():
    """No thread and no wait: the set is there with the first plan, and plans are compiled once."""
    mesh = runtime(**ORDERS)
    assert addresses(mesh) == ["10.0.0.1:80", "10.0.0.2:80"]
    assert plan(mesh) is plan(mesh)
    assert mesh._world is None


def test_a_passed_through_host_is_one_endpoint_by_name():
    """An unknown public host keeps its name and the scheme's port."""
    mesh = runtime()
    assert addresses(mesh, "https://api.example.com") == ["api.example.com:443"]
    assert mesh.passed_through("api.example.com") == ("https", "api.example.com")
    plan(mesh, "http://10.1.1.1:8080")
    assert mesh.passed_through("10.1.1.1:8080") == ("http", "10.1.1.1")


def test_an_introduced_service_uses_its_discovery():
    """What a client brings holds for its target; a second, different word is refused."""
    mesh = runtime()
    mesh.introduce(service_key("users"), "static://10.0.0.9:1")
    mesh.introduce(service_key("users"), "static://10.0.0.9:1")
    assert addresses(mesh, "users") == ["10.0.0.9:1"]
    with pytest.raises(ConfigError, match="known to this mesh already"):
        mesh.introduce(service_key("users"), "static://10.0.0.8:1")
    with pytest.raises(ConfigError, match="known to this mesh already"):
        runtime(**ORDERS).introduce(service_key("orders"), "static://10.0.0.8:1")


def test_a_policy_swap_keeps_what_nodes_and_breakers_know():
    """A recompile gives a new plan on the same cluster, breaker and budget, with the new values."""
    mesh = runtime(**ORDERS)
    before = plan(mesh)
    mesh.adopt(snapshot("2", timeout=1.5, breaker={"minimum_calls": 5}, **ORDERS))
    after = plan(mesh)
    assert after is not before
    assert (after.timeout, before.timeout) == (1.5, 10.0)
    assert after.cluster is before.cluster
    assert after.breaker is before.breaker
    assert after.breaker.options.minimum_calls == 5
    assert after.budget is before.budget


def test_a_bad_policy_changes_nothing():
    """One service that cannot follow keeps all of them where they were."""
    mesh = runtime(**ORDERS)
    before, held = plan(mesh), mesh.policy
    broken = snapshot("2", services={"orders": {"discovery": "nowhere://x"}})
    with pytest.raises(ConfigError, match="nowhere"):
        mesh.adopt(broken)
    assert mesh.policy is held
    assert plan(mesh) is before


def test_a_swap_can_turn_everything_off_and_on():
    """`false` removes a stage from the plan; ejection and balancer follow on the living cluster."""
    mesh = runtime(**ORDERS)
    cluster = plan(mesh).cluster
    off = snapshot("2", retry=False, breaker=False, ejection=False, balancer="random", **ORDERS)
    mesh.adopt(off)
    bare = plan(mesh)
    assert (bare.retry, bare.breaker, bare.budget, cluster.detector) == (None, None, None, None)
    mesh.adopt(snapshot("3", limit={"concurrency": 4}, ejection={"base": 2.0}, **ORDERS))
    full = plan(mesh)
    assert full.limiter is not None
    assert cluster.detector.options.base == 2.0
    mesh.adopt(snapshot("4", ejection={"base": 3.0}, **ORDERS))
    assert cluster.detector.options.base == 3.0


def test_a_swap_moves_a_service_to_its_new_source():
    """Another discovery in the document is followed without a restart."""
    mesh = runtime(**ORDERS)
    assert len(addresses(mesh)) == 2
    mesh.adopt(snapshot("2", services={"orders": {"discovery": "static://10.9.9.9:1"}}))
    assert addresses(mesh) == ["10.9.9.9:1"]


def test_the_same_version_is_not_adopted_twice():
    """A confirmation costs no recompile."""
    mesh = runtime(**ORDERS)
    before = plan(mesh)
    mesh.adopt(PolicySnapshot(mesh.policy.document, "1", "code"))
    assert plan(mesh) is before


def test_a_closed_mesh_takes_no_calls():
    """Closing is idempotent; the next call says that the mesh is closed."""
    mesh = runtime(**ORDERS)
    plan(mesh)
    mesh.unbalanced()
    mesh.close()
    mesh.returned(True)
    with pytest.raises(RuntimeError, match="mesh is closed"):
        plan(mesh)
    assert mesh.unbalanced().closed


def test_unbalanced_passes_everything_through():
    """For a wire of the user's own even a configured service is one endpoint by name."""
    mesh = runtime(**ORDERS)
    plain = mesh.unbalanced()
    assert plain is mesh.unbalanced()
    assert addresses(plain) == ["orders:80"]
    mesh.adopt(snapshot("2", timeout=3, **ORDERS))
    assert plan(plain).timeout == 3.0


def test_an_unused_host_is_forgotten():
    """A crawler's hosts do not pile up: after ten idle minutes a passed-through one is gone, a service is not."""
    clock = FakeClock()
    mesh = runtime(clock, **ORDERS)
    plan(mesh)
    cluster = plan(mesh, "http://a.example.com").cluster
    gone = weakref.ref(cluster)
    del cluster
    mesh.tidy()
    assert set(mesh.services) == {"orders", "a.example.com"}
    clock.advance(KEPT_FOR + 1)
    mesh.tidy()
    assert set(mesh.services) == {"orders"}
    clock.advance(KEPT_FOR + 1)
    mesh.tidy()
    gc.collect()
    assert gone() is None


def test_events_reach_the_listener():
    """A swap and a refused document are told."""
    heard = Heard()
    mesh = runtime(listener=heard, **ORDERS)
    mesh.adopt(snapshot("2", timeout=1, **ORDERS))
    mesh._refused("meshlib.toml:3: timeout: expected ...")
    assert [(event.kind, sorted(event.facts)) for event in heard.events] == [
        ("policy", ["source", "version"]),
        ("policy", ["error", "source"]),
    ]
    assert mesh.policy_error.startswith("meshlib.toml:3")


def test_routes_choose_the_plan_and_the_subset():
    """A split sends a call to a subset's own cluster; what matches no route takes the service's plan."""
    services = {
        "orders": {
            "discovery": "static://10.0.0.1:80",
            "subsets": {"v2": {"labels": {"version": "v2"}}},
            "routes": [
                {
                    "name": "all",
                    "match": {"path_prefix": "/"},
                    "timeout": 0.5,
                    "split": [{"subset": "v2", "weight": 1}],
                }
            ],
        }
    }
    mesh = runtime(services=services)
    routed = plan(mesh)
    assert (routed.route, routed.timeout, routed.cluster.subset) == ("all", 0.5, "v2")
    assert routed is plan(mesh)
    assert routed.cluster.ready
    assert not routed.cluster.nodes
    services["orders"]["routes"][0]["match"] = {"path": "/other"}
    mesh.adopt(snapshot("2", services=services))
    assert plan(mesh).route == ""
    assert plan(mesh) is plan(mesh)


def test_max_age_is_jittered():
    """Ten minutes plus or minus a fifth; off when policy says so."""
    mesh = runtime(**ORDERS)
    plan(mesh)
    draw = mesh.max_age(mesh.connections("orders"))
    ages = [draw() for _ in range(200)]
    assert 480 <= min(ages) < 520
    assert 680 < max(ages) <= 720
    off = runtime(connections={"max_age": False}, **ORDERS)
    plan(off)
    assert off.max_age(off.connections("orders")) is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"hedge": True}, r"defaults.hedge: hedging is not supported"),
        ({"wire": "pigeon"}, r"defaults.wire: unknown wire 'pigeon'"),
    ],
)
def test_half_a_policy_is_refused(keys, said):
    """What this version would not do is a ConfigError, at the start and on a reload, never silently left out."""
    with pytest.raises(ConfigError, match=said):
        runtime(**keys)
    mesh = runtime(**ORDERS)
    with pytest.raises(ConfigError, match=said):
        mesh.adopt(snapshot("2", **keys))
    assert mesh.policy.version == "1"


def test_headers_go_only_to_services_that_somebody_named():
    """A passed-through host gets none; one in the policy, or found by discovery, gets them."""

    class Talker(Listener):
        """Asks for a header."""

        def attempt_started(self, call, attempt):
            """Always."""
            return {"traceparent": "00-1"}

    named = {**ORDERS["services"], "api.partner.example": {"timeout": 1}}
    mesh = runtime(listener=Talker(), services=named)
    told = {
        name: plan(mesh, name).listener.attempt_started(None, None)
        for name in ("orders", "http://api.partner.example", "http://www.example.com")
    }
    assert told == {
        "orders": {"traceparent": "00-1"},
        "http://api.partner.example": {"traceparent": "00-1"},
        "http://www.example.com": None,
    }
