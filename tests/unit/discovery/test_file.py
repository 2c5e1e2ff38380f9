"""file:// reads a document, and reads it again."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.errors import ConfigError

TOML = b"""
version = 1
x-note = "mine"
endpoints = [
  {address = "10.0.0.1:8080", zone = "eu-1a", weight = 50, priority = 1, labels = {version = "v1"}},
  {address = "Host.example"},
  {address = "[::1]:9"},
]
"""
JSON = b'{"endpoints": [{"address": "10.0.0.1:8080", "zone": "eu-1a"}, {"address": "h"}]}'


def test_toml_fields(watched: Any, script: Any) -> None:
    """Every key of an entry, and the service's port where none is written."""
    script.files["/e.toml"] = [TOML]
    said = watched("file:///e.toml", port=80)
    first, second, third = said.sets[0].endpoints
    assert (first.address, first.zone, first.weight, first.priority) == ("10.0.0.1:8080", "eu-1a", 50.0, 1)
    assert first.labels == {"version": "v1"}
    assert (second.address, second.weight, third.address) == ("host.example:80", 100.0, "[::1]:9")


def test_json_by_name_or_by_content(watched: Any, script: Any) -> None:
    """A document that begins with a brace is JSON, unless it is named otherwise."""
    script.files = {"/e.json": [JSON], "/e": [JSON], "/e.toml": [JSON]}
    assert watched("file:///e.json").addresses[0] == ["10.0.0.1:8080", "h"]
    script.sleeps.clear()
    assert watched("file:///e").addresses[0] == ["10.0.0.1:8080", "h"]
    script.sleeps.clear()
    assert "is no TOML" in str(watched("file:///e.toml").error)


def test_change_is_seen_within_a_second(watched: Any, script: Any) -> None:
    """Looked at every second."""
    script.files["/e.json"] = [JSON, b'{"endpoints": []}']
    said = watched("file:///e.json")
    assert [len(one) for one in said.sets] == [2, 0, 0]
    assert script.sleeps == [1.0] * 3


def test_malformed_on_reload_changes_nothing(kept: Any, script: Any) -> None:
    """The last good set stays, the problem is said once, looking goes on every second and recovers."""
    script.naps = 6
    script.files["/e.json"] = [JSON, *[b'{"endpoints":\n[}'] * 3, JSON]
    said = kept("file:///e.json")
    assert {tuple(one) for one in said.addresses} == {("10.0.0.1:8080", "h")}
    assert len(said.problems) == 2
    assert "/e.json" in said.problems[0]
    assert "line 2" in said.problems[0]
    assert said.problems[1] == ""
    assert set(script.sleeps) == {1.0}


BAD = b"""{"endpoint": 1, "endpoints": [
 {"address": "10.0.0.1:99999", "weight": -1},
 {"zone": "x", "priority": 1.5, "colour": "red"},
 "10.0.0.1:80",
 {"address": "ok:1", "labels": {"a": 1}}
]}"""


def test_every_problem_at_once(watched: Any, script: Any) -> None:
    """File and key path of each."""
    script.files["/e.json"] = [BAD]
    error = watched("file:///e.json").error
    assert isinstance(error, ConfigError)
    assert all(problem.startswith("/e.json: ") for problem in error.problems)
    text = str(error)
    for place in (
        "unknown key 'endpoint'",
        "endpoints[0].address",
        "endpoints[0].weight",
        "endpoints[1]: the key 'address' is missing",
        "endpoints[1].priority",
        "endpoints[1].colour",
        "endpoints[2]",
        "endpoints[3].labels",
    ):
        assert place in text
    assert len(error.problems) == 8


def test_many_problems_are_cut_in_the_text_only(watched: Any, script: Any) -> None:
    """A thousand wrong lines make a readable sentence."""
    entries = ",".join(['{"address": ""}'] * 1000)
    script.files["/e.json"] = [b'{"endpoints": [%s]}' % entries.encode()]
    error = watched("file:///e.json").error
    assert len(error.problems) == 1000
    assert str(error).endswith("and 980 more")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"endpoints": 1}',
        b'{"endpoints": null}',
        b'{"endpoints": {}}',
        b"\xff\xfe",
        b'{"endpoints": [' + b"[" * 5000,
        b'{"version": 2, "endpoints": []}',
        b'{"endpoints": [null]}',
        b'{"endpoints": [{"address": "a", "weight": 1e400}]}',
        b'{"endpoints": [{"address": "a", "priority": 99999999999999999999999}]}',
        b"endpoints = 1",
        b"endpoints = [1]",
        b'endpoints = [{address = "a", weight = nan}]',
        b'endpoints = [{address = "a:0"}]',
        b'endpoints = [{address = "[1.2.3.4]:80"}]',
        b"endpoints = [",
    ],
)
def test_nonsense_is_a_config_error(watched: Any, script: Any, content: bytes) -> None:
    """Whatever the bytes, never another exception, and nothing is published."""
    script.files["/e"] = [content]
    said = watched("file:///e")
    assert isinstance(said.error, ConfigError)
    assert "/e" in str(said.error)
    assert said.sets == []


def test_missing_file(watched: Any) -> None:
    """Named, with the system's word for it."""
    error = watched("file:///gone").error
    assert isinstance(error, ConfigError)
    assert "/gone cannot be read: No such file" in str(error)


@pytest.mark.parametrize("uri", ["file://", "file:///", "file://host/path", "file:///a?poll=1"])
def test_wrong_uri(watched: Any, uri: str) -> None:
    """An absolute path and nothing else."""
    assert isinstance(watched(uri).error, ConfigError)


def test_large_document_is_read_in_slices(script: Any) -> None:
    """The generator lets go of the lock every few entries."""
    from meshlib.discovery.document import parse_endpoints

    entries = ",".join(f'{{"address": "10.0.{n // 250}.{n % 250}:80"}}' for n in range(1000))
    work = parse_endpoints(b'{"endpoints": [%s]}' % entries.encode(), "/e", 0)
    assert sum(1 for _ in work) > 50
