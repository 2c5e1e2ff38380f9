"""Documents: every error at once, each with file, line, key path, value and what would be right."""

import json
from typing import Any

import pytest

from meshlib.errors import ConfigError
from meshlib.policy import Document, load, parse

TOML = b"""\
version = 1
[mesh]
unknwn = "auto"

[x-notes]
anything = { goes = ["here"] }

[defaults]
timeout = "soon"
retry = {attempts = 0, wait = {bas = 1}}

[services.orders]
discovery = "consul://user:s3cret@agent"
token = "s3cret"
breaker.failure_ratio = 2.0
[services.orders.subsets.v2]
labels = {version = 2}
[[services.orders.routes]]
name = "reports"
match = {path_prefix = "v1"}
split = [
  {subset = "v2"},
  {subset = "v2", weight = -1},
]
[[services.orders.routes]]
name = "reports"
limit = {queue = 1}

[services."Orders:80"]
"""
JSON = b"""\
{
  "version": 1,
  "mesh": {"unknwn": "auto"},
  "x-notes": {"anything": [{"a": "}"}, "]"]},
  "defaults": {
    "timeout": "soon",
    "retry": {
      "attempts": 0,
      "wait":
        {"bas": 1}
    }
  },
  "services": {
    "orders": {
      "discovery": "consul://user:s3cret@agent",
      "token": "s3cret",
      "breaker": {"failure_ratio": 2.0},
      "subsets": {"v2": {"labels": {
        "version": 2}}},
      "routes": [
        {"name": "reports",
         "match": {"path_prefix": "v1"},
         "split": [{"subset": "v2"},
                   {"subset": "v2", "weight": -1}]},
        {"name": "reports",
         "limit": {"queue": 1}}
      ]
    },
    "Orders:80": {}
  }
}
"""
YAML = b"""\
version: 1
mesh:
  unknwn: auto
x-notes: {anything: [goes]}
defaults:
  timeout: soon   # later
  retry:
    attempts: 0
    wait: {bas: 1}
services:
  orders:
    discovery: "consul://user:s3cret@agent"
    'token': s3cret
    breaker:
      failure_ratio: 2.0
    subsets:
      v2:
        labels: {version: 2}
    routes:
    - name: reports
      match:
        path_prefix: v1
      split:
        - subset: v2
        - subset: v2
          weight: -1
    -
      name: reports
      limit: {queue: 1}
  "Orders:80": {}
"""
WRONG = [
    ("mesh.unknwn", "did you mean 'unknown'?"),
    (
        "defaults.timeout",
        "expected seconds (a number above 0 up to 86,400, or text such as \"250ms\"), or false, got 'soon'",
    ),
    ("defaults.retry.attempts", "expected a whole number from 1 to 100, got 0"),
    ("defaults.retry.wait.bas", "did you mean 'base'?"),
    ("services.orders.discovery", "?token_file=PATH"),
    ("services.orders.token", "unknown key 'token': known are attempt_timeout, balancer"),
    ("services.orders.breaker.failure_ratio", "expected a number above 0 up to 1, got 2.0"),
    ("services.orders.subsets.v2.labels", "expected a table of text"),
    ("services.orders.routes[0].match.path_prefix", "expected a path such as /v1/reports"),
    ("services.orders.routes[0].split[1].weight", "got -1"),
    ("services.orders.routes[1].name", "another route is called 'reports' already"),
    ("services.orders.routes[1].limit", "belongs to the whole service"),
    ('services."Orders:80"', "in lower case: write 'orders'"),
]
LINES = {
    "toml": [3, 9, 10, 10, 13, 14, 15, 17, 20, 23, 26, 27, 29],
    "json": [3, 6, 8, 10, 15, 16, 17, 18, 22, 24, 25, 26, 29],
    "yaml": [3, 6, 8, 9, 12, 13, 15, 18, 22, 26, 28, 29, 30],
}


@pytest.mark.parametrize(("format", "text"), [("toml", TOML), ("json", JSON), ("yaml", YAML)])
def test_every_error_at_once(format: Any, text: bytes) -> None:
    """One error lists all problems in the order of the file, on the right lines, without the secrets."""
    with pytest.raises(ConfigError) as caught:
        load(text, format, f"mesh.{format}")
    problems = caught.value.problems
    assert str(caught.value) == "\n".join(problems)
    places = [f"mesh.{format}:{line}: {key}: " for line, (key, _) in zip(LINES[format], WRONG, strict=True)]
    assert [problem[: len(place)] for place, problem in zip(places, problems, strict=True)] == places
    assert all(hint in problem for (_, hint), problem in zip(WRONG, problems, strict=True))
    assert "s3cret" not in str(caught.value)


GOOD = {
    "version": 1,
    "mesh": {"service": "web", "domains": ["internal.example"], "first_policy_wait": "2s"},
    "defaults": {"timeout": 10},
    "services": {
        "orders": {
            "discovery": "consul://127.0.0.1:8500/orders?dc=eu",
            "balancer": {"name": "p2c"},
            "retry": {"attempts": 3, "budget": False},
            "breaker": False,
            "subsets": {"v1": {"labels": {"version": "v1"}}, "v2": {}},
            "routes": [
                {
                    "name": "reports",
                    "match": {"path_prefix": "/v1/reports", "methods": ["GET"]},
                    "split": [{"subset": "v1", "weight": 90}, {"subset": "v2", "weight": 10}],
                    "timeout": "250ms",
                },
                {},
            ],
        },
        "orders:8080": {},
    },
}


def test_reads_a_whole_document() -> None:
    """Tables become typed values; layers keep what was written; nameless routes are numbered."""
    document = parse(GOOD, "test")
    assert document.mesh.first_policy_wait == 2.0
    assert document.defaults.layer == {"timeout": 10}
    orders = document.services["orders"]
    assert orders.layer["balancer"] == {"name": "p2c"}
    assert orders.subsets["v1"].labels == {"version": "v1"}
    assert [route.name for route in orders.routes] == ["reports", "route-2"]
    assert orders.routes[0].layer == {"timeout": "250ms"}
    assert [share.weight for share in orders.routes[0].split] == [90.0, 10.0]


def test_the_same_in_every_format() -> None:
    """TOML, JSON and YAML of one content are one document."""
    text = json.dumps(GOOD).encode()
    assert load(text, "json", "x") == load(text, "yaml", "x") == parse(GOOD, "x")
    toml = b'version = 1\n[services.orders]\nretry = {on = ["503"]}\n'
    yaml = b"version: 1\nservices:\n  orders:\n    retry:\n      on: ['503']\n"
    assert load(toml, "toml", "x") == load(yaml, "yaml", "x")


def test_later_changes_do_not_reach_it() -> None:
    """A document is not changed by changing what it was read from."""
    data: dict[str, Any] = {"version": 1, "defaults": {"retry": {"attempts": 2, "on": ["503"]}}}
    document = parse(data, "x")
    data["defaults"]["retry"]["attempts"] = 0
    data["defaults"]["retry"]["on"].append("x")
    assert document.defaults.layer == {"retry": {"attempts": 2, "on": ("503",)}}


@pytest.mark.parametrize(
    ("version", "got"),
    [(2, "2"), ("1", "'1'"), (None, "nothing"), (True, "true"), ([], "a list of 0"), (1.5, "1.5")],
)
def test_version(version: object, got: str) -> None:
    """Another version is refused, and its unknown keys are not complained about."""
    with pytest.raises(ConfigError, match=f"expected version = 1, got {got}") as caught:
        parse({"version": version, "future": {}}, "x")
    assert len(caught.value.problems) == (2 if version is None else 1)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"retry": None}, "retry: expected a table, or false to turn it off, got null"),
        ({"retry": 5}, "retry: expected a table, or false, got 5"),
        ({"connections": False}, "connections: expected a table, got false"),
        ({"balancer": 5}, "balancer: expected a balancer's name, or a table with it, got 5"),
        ({"balancer": {"name": 5}}, "balancer.name: expected text, got 5"),
        ({"balancer": "p3c"}, "balancer.name: unknown balancer 'p3c': known are"),
        ({"balancer": {"cots": 1}}, "balancer.cots: unknown key 'cots'"),
        ({"subsets": []}, "subsets: expected a table, got a list of 0"),
        ({"subsets": {"a": 1}}, "subsets.a: expected a table, got 1"),
        ({"routes": {}}, "routes: expected a list of tables, got a table of 0 keys"),
        ({"routes": [1]}, "routes[0]: expected a table, got 1"),
        ({"routes": [{"name": 1}]}, "routes[0].name: expected text, got 1"),
        ({"routes": [{"split": []}]}, "routes[0].split: needs one branch at least"),
        (
            {"routes": [{"split": [{"subset": "a", "weight": 0}]}]},
            "routes[0].split: needs one branch at least",
        ),
        ({"routes": [{"split": [{"weight": 1}]}]}, "routes[0].split[0].subset: is missing"),
        ({"routes": [{"split": [{"subset": "a"}]}]}, "routes[0].split: unknown subset 'a': known are none"),
        (
            {"routes": [{"timout": 1}]},
            "routes[0].timout: unknown key 'timout': known are attempt_timeout, breaker",
        ),
        ({5: 1}, "expected keys that are text, got 5"),
        ({"timeout": float("nan")}, "timeout: expected seconds"),
        ({"timeout": 10**400}, "timeout: expected seconds"),
    ],
)
def test_wrong_tables(table: dict[Any, Any], problem: str) -> None:
    """Each wrong shape is named where it stands."""
    with pytest.raises(ConfigError) as caught:
        parse({"version": 1, "services": {"orders": table}}, "x")
    [found] = caught.value.problems
    assert found.startswith(f"x: services.orders{'' if problem.startswith('expected') else '.'}")
    assert problem in found


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_not_even_a_table(data: Any) -> None:
    """A document that is no table is said to be none."""
    with pytest.raises(ConfigError, match="x: expected a table"):
        parse(data, "x")


def test_names_that_no_url_has() -> None:
    """A service is named by a host; anything else is refused where it stands."""
    with pytest.raises(ConfigError, match=r'x: services\."a b": .*cannot hold'):
        parse({"version": 1, "services": {"a b": {}, "orders": {}}}, "x")


def test_unknown_top_level_keys() -> None:
    """Only `x-` tables are free at the top."""
    with pytest.raises(ConfigError, match="defaults, mesh, services, version, x-") as caught:
        parse({"version": 1, "sevices": {}, "x-ok": 1}, "x")
    assert len(caught.value.problems) == 1


def test_layers_that_do_not_fit_together() -> None:
    """What is right by itself and wrong after merging is found before the document is used."""
    balancer = {"balancer": {"name": "round_robin"}}
    data = {
        "version": 1,
        "defaults": balancer,
        "services": {"orders": {"balancer": {"decay": 5}}, "carts": {}},
    }
    with pytest.raises(ConfigError, match=r"services\.orders\.balancer\.decay: unknown key"):
        parse(data, "x")


def test_deep_and_recursive_data() -> None:
    """Depth and self-reference end in an answer, not in a RecursionError."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"retry": deep}
    for data in ({"version": 1, "defaults": deep}, {"version": 1, "defaults": {"retry": {"wait": deep}}}):
        with pytest.raises(ConfigError):
            parse(data, "x")
    round_about: dict[str, Any] = {"name": "p2c"}
    round_about["self"] = round_about
    with pytest.raises(ConfigError):
        parse({"version": 1, "defaults": {"balancer": round_about}}, "x")
    round_about = {}
    round_about["budget"] = round_about
    with pytest.raises(ConfigError):
        parse({"version": 1, "defaults": {"retry": round_about}}, "x")
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse({"version": 1, "defaults": {"balancer": endless}}, "x")


def test_sources_are_shown_without_credentials() -> None:
    """A document fetched from a URL is named without its userinfo and query."""
    with pytest.raises(ConfigError) as caught:
        load(b"version = 2", "toml", "https://u:s3cret@policy/doc?token=s3cret")
    assert str(caught.value).startswith("https://policy/doc:1: version: ")


def test_empty_document() -> None:
    """A version alone is a document."""
    assert parse({"version": 1}, "x") == Document()
