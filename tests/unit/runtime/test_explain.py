"""What `explain` says of a request, and that it creates nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshlib.errors import ConfigError
from meshlib.mesh import Mesh

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "mesh": {"domains": ["corp.example"]},
    "defaults": {"timeout": 3},
    "services": {
        "orders": {
            "discovery": "static://10.0.0.1:80,10.0.0.2:80",
            "retry": {"attempts": 4},
            "breaker": False,
            "subsets": {"v1": {"labels": {"version": "v1"}}, "v2": {"labels": {"version": "v2"}}},
            "routes": [
                {"name": "reports", "match": {"path_prefix": "/v1/reports", "methods": ["GET"]}, "timeout": 9},
                {"name": "canary", "match": {"headers": {"x-canary": "yes"}},
                 "split": [{"subset": "v1", "weight": 90}, {"subset": "v2", "weight": 10}]},
                {"name": "last", "match": {"path": "/last"}, "breaker": {"window": 5}},
            ],
        }
    },
}  # fmt: skip


def facts(
    target: str, method: str = "GET", path: str = "/", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    with Mesh(policy=DOCUMENT) as mesh:
        explanation = mesh.explain(target, method, path, headers)
        json.dumps(explanation.facts)
        assert mesh.runtime.services == {}
        assert mesh.runtime.keep.keys() == []
        found: dict[str, Any] = explanation.facts
        return found


def test_every_value_has_its_layer() -> None:
    """Defaults, service, route: whoever wrote the key last is named."""
    policy = facts("http://orders", "GET", "/v1/reports/7")["policy"]
    assert policy["timeout"] == {"value": 9, "from": "services.orders.routes.reports"}
    assert policy["retry.attempts"] == {"value": 4, "from": "services.orders"}
    assert policy["breaker"] == {"value": False, "from": "services.orders"}
    assert policy["retry.budget.ratio"] == {"value": 0.2, "from": "default"}
    assert facts("orders")["policy"]["timeout"] == {"value": 3, "from": "defaults"}


def test_first_matching_route() -> None:
    """The first match is named, and why the others were not it."""
    said = facts("orders", "POST", "/v1/reports", {"X-Canary": "yes"})
    assert said["route"] == "canary"
    whys = {route["name"]: (route["matches"], route["why"]) for route in said["routes"]}
    assert whys["reports"] == (False, "its methods are GET")
    assert whys["canary"][0] is True
    assert whys["last"] == (None, "not asked, canary comes first")
    assert [(one["subset"], one["share"]) for one in said["clusters"]] == [("v1", 0.9), ("v2", 0.1)]


def test_route_with_its_own_breaker() -> None:
    """A route that writes `breaker` has one although the service has none."""
    assert facts("orders", "GET", "/last")["breaker"]["state"] == "closed"
    assert facts("orders", "GET", "/elsewhere")["breaker"] is None


def test_static_endpoints_are_known_before_the_first_call() -> None:
    """What is written down need not be asked for."""
    nodes = facts("orders")["clusters"][0]["nodes"]
    assert [(node["address"], node["state"]) for node in nodes] == [
        ("10.0.0.1:80", "not called yet"),
        ("10.0.0.2:80", "not called yet"),
    ]


@pytest.mark.parametrize(
    ("target", "treatment", "why"),
    [
        ("http://orders", "balanced", "[services.orders] names its source"),
        ("http://shop", "balanced", "a name of a single label is a service, found in DNS"),
        ("http://a.corp.example", "balanced", "it is in the mesh domain corp.example, found in DNS"),
        ("https://api.example.org", "passed through", "neither configured nor in a mesh domain"),
        ("http://10.1.2.3:80", "passed through", "it is an address"),
    ],
)
def test_why_a_name_is_treated_so(target: str, treatment: str, why: str) -> None:
    """Balanced or passed through, and the rule that says so."""
    service = facts(target)["service"]
    assert service["treatment"] == treatment
    assert why in service["why"]


def test_refused_name() -> None:
    """With unknown = "refuse" the explanation is the refusal."""
    with Mesh(policy={"version": 1, "mesh": {"unknown": "refuse"}}) as mesh:
        explanation = mesh.explain("http://nobody")
        assert explanation.facts["service"]["treatment"] == "refused"
        assert "refuse" in str(explanation)


@pytest.mark.parametrize(
    ("method", "headers", "when"),
    [
        ("GET", {}, "GET is idempotent"),
        ("POST", {}, "only when provably nothing was processed"),
        ("POST", {"Idempotency-Key": "1"}, "it carries an Idempotency-Key"),
    ],
)
def test_retries(method: str, headers: dict[str, str], when: str) -> None:
    """What may be repeated, and why."""
    retries = facts("orders", method, "/", headers)["retries"]
    assert retries["attempts"] == 4
    assert when in retries["when"]


def test_path_below_the_target() -> None:
    """The request's path is joined to the target's as a client's base URL would be, and its query is left out."""
    assert facts("http://orders/api", "GET", "/x?secret=1")["request"]["path"] == "/api/x"
    assert facts("http://orders/api")["request"]["path"] == "/api"


def test_text_reads_well() -> None:
    """People get the same, a line for each thing."""
    with Mesh(policy=DOCUMENT) as mesh:
        explanation = mesh.explain("orders", "GET", "/v1/reports")
        text = str(explanation)
        assert "yes reports: the first that matches" in text
        assert "retry.attempts = 4" in text
        assert "from services.orders" in text
        assert "defaults" in text
        assert "ejection.base" not in explanation.brief
        assert max(map(len, text.splitlines())) <= 120


def test_known_service_shows_its_state() -> None:
    """Once called, a service's nodes are shown as they are now."""
    with Mesh(policy=DOCUMENT) as mesh:
        from meshlib.core.uri import service_key

        mesh.runtime.service(service_key("orders"))
        said = mesh.explain("orders").facts
        assert said["service"]["called"] is True
        assert {node["state"] for node in said["clusters"][0]["nodes"]} == {"ready"}
        assert said["discovery"]["age"] >= 0


def test_bad_target() -> None:
    """A target that names no service is a ConfigError."""
    with pytest.raises(ConfigError):
        facts("http://")
