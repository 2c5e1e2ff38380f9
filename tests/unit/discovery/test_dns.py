"""dns:// publishes every address and asks again before the answer runs out."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.core.io import Answer, Server
from meshlib.errors import ConfigError, DiscoveryError


def test_asks_again_at_nine_tenths_of_the_ttl(watched: Any, script: Any) -> None:
    """A new address shows at the next question, without any failure."""
    script.answers["orders"] = [
        Answer(addresses=("10.0.0.1",), ttl=20.0),
        Answer(addresses=("10.0.0.1", "10.0.0.2"), ttl=20.0),
    ]
    said = watched("dns://orders:80")
    assert said.addresses == [["10.0.0.1:80"], *[["10.0.0.1:80", "10.0.0.2:80"]] * 2]
    assert script.sleeps == [18.0] * 3


@pytest.mark.parametrize(("ttl", "pause"), [(0.0, 1.0), (1.0, 1.0), (86400.0, 60.0)])
def test_pause_is_held_between_bounds(watched: Any, script: Any, ttl: float, pause: float) -> None:
    """Neither a TTL of zero nor one of a day is followed to the letter."""
    script.answers["orders"] = [Answer(addresses=("10.0.0.1",), ttl=ttl)]
    watched("dns://")
    assert script.sleeps == [pause] * 3


def test_jitter_only_shortens(watched: Any, script: Any) -> None:
    """A fleet does not ask in step, and nobody asks too late."""
    script.chance = 0.999
    script.answers["orders"] = [Answer(addresses=("10.0.0.1",), ttl=20.0)]
    watched("dns://orders")
    assert all(16.2 <= pause < 16.3 for pause in script.sleeps)


def test_no_address_is_an_empty_set(watched: Any, script: Any) -> None:
    """An answer that says "none" is believed for its negative TTL."""
    script.answers["orders"] = [Answer(addresses=("10.0.0.1",), ttl=5.0), Answer(ttl=10.0)]
    said = watched("dns://orders")
    assert said.addresses == [["10.0.0.1"], [], []]
    assert script.sleeps == [4.5, 9.0, 9.0]


def test_options_reach_the_look_up(watched: Any, script: Any) -> None:
    """Family and name servers, several of them, IPv6 too."""
    script.answers["orders"] = [Answer(addresses=("::1",), ttl=5.0)]
    watched("dns://orders?family=6&nameserver=127.0.0.1:5353,10.0.0.1&nameserver=[::1]:54")
    servers = (Server("127.0.0.1", 5353), Server("10.0.0.1"), Server("::1", 54))
    assert script.asked[0] == ("orders", "6", servers)


def test_several_names_make_one_set(watched: Any, script: Any) -> None:
    """The shortest TTL counts."""
    script.answers = {
        "a": [Answer(addresses=("10.0.0.1",), ttl=50.0)],
        "b": [Answer(addresses=("10.0.0.2", "10.0.0.1"), ttl=10.0)],
    }
    assert watched("dns://a:1,b:1").addresses[0] == ["10.0.0.1:1", "10.0.0.2:1"]
    assert script.sleeps[0] == 9.0


def test_error_is_let_out(watched: Any, script: Any) -> None:
    """The runner starts it again; nothing empty is published."""
    script.answers["orders"] = [Answer(addresses=("10.0.0.1",), ttl=5.0), DiscoveryError("SERVFAIL")]
    said = watched("dns://orders")
    assert said.addresses == [["10.0.0.1"]]
    assert isinstance(said.error, DiscoveryError)


@pytest.mark.parametrize(
    "uri",
    [
        "dns://orders?famly=4",
        "dns://orders?family=5",
        "dns://orders?nameserver=ns.example",
        "dns://orders?nameserver=127.0.0.1:0",
        "dns://orders?nameserver=127.0.0.1:x",
        "dns:///orders",
    ],
)
def test_wrong_uri_names_what_is_right(watched: Any, uri: str) -> None:
    """Every mistake is a ConfigError with the way it is written."""
    error = watched(uri).error
    assert isinstance(error, ConfigError)
    assert "known are" in str(error) or "dns://name:port" in str(error) or "127.0.0.1:5353" in str(error)


def test_needs_some_name(watched: Any) -> None:
    """Neither the URI nor the target has one."""
    assert isinstance(watched("dns://", service="").error, ConfigError)
