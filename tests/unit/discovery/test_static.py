"""static:// publishes what is written."""

from __future__ import annotations

from typing import Any

from meshlib.errors import ConfigError


def test_publishes_hosts_as_written(watched: Any) -> None:
    """Names stay names, a missing port becomes the service's."""
    said = watched("static://a:1,b,[::1]:3", port=9)
    assert said.addresses == [["a:1", "b:9", "[::1]:3"]]
    assert said.error is None


def test_default_is_the_service_itself(watched: Any) -> None:
    """Without hosts the logical name is the endpoint, with the port of its key."""
    assert watched("static://", service="orders:8080").addresses == [["orders:8080"]]


def test_duplicates_are_one(watched: Any) -> None:
    """The first of the same host and port wins."""
    assert watched("static://a:1,a:1").addresses == [["a:1"]]


def test_refuses_path_and_options(watched: Any) -> None:
    """What it would ignore is an error."""
    assert isinstance(watched("static://a/b").error, ConfigError)
    assert isinstance(watched("static://a?family=4").error, ConfigError)
    assert isinstance(watched("static://", service="").error, ConfigError)
