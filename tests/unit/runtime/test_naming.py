"""Where a name's endpoints come from when nobody configured it."""

import pytest

from meshlib.core.uri import parse, service_key
from meshlib.errors import ConfigError
from meshlib.policy import MeshOptions
from meshlib.runtime.naming import is_mesh_name, source_of

AUTO = MeshOptions()


@pytest.mark.parametrize(
    "host",
    ["orders", "orders.shop.svc", "a.b.cluster.local", "db.internal", "web.service.consul", "x.corp.example"],
)
def test_a_mesh_name_is_balanced_through_dns(host):
    """Single labels and names in mesh domains become dns:// sources with the URL's port."""
    mesh = MeshOptions(domains=("corp.example",))
    assert source_of(service_key(f"http://{host}:8080"), mesh) == parse(f"dns://{host}:8080")


@pytest.mark.parametrize(
    "host", ["api.example.com", "127.0.0.1", "[::1]", "svc.example.com", "notinternal"[:3] + ".x"]
)
def test_any_other_host_passes_through(host):
    """Public names and IP literals keep proxy, SNI and CDN: no source."""
    assert source_of(service_key(f"http://{host}"), AUTO) is None


def test_the_search_list_makes_mesh_names():
    """A name below a domain of resolv.conf's search list is at home."""
    assert is_mesh_name("orders.prod.example", AUTO, ("prod.example",))
    assert not is_mesh_name("orders.prod.example", AUTO)


def test_a_general_discovery_serves_mesh_names_only():
    """`[mesh] discovery` is asked for services, not for public hosts."""
    mesh = MeshOptions(discovery="file:///etc/endpoints.toml")
    assert source_of(service_key("orders"), mesh) == parse("file:///etc/endpoints.toml")
    assert source_of(service_key("http://api.example.com"), mesh) is None


def test_unknown_dns_balances_everything_but_literals():
    """`unknown = "dns"` resolves public names as well; an IP literal has nothing to resolve."""
    mesh = MeshOptions(unknown="dns")
    assert source_of(service_key("http://api.example.com"), mesh) == parse("dns://api.example.com")
    assert source_of(service_key("http://10.0.0.1"), mesh) is None


def test_unknown_passthrough_balances_nothing():
    """`unknown = "passthrough"` calls even a single label by name."""
    assert source_of(service_key("orders"), MeshOptions(unknown="passthrough")) is None


def test_unknown_refuse_names_the_service_and_the_ways_out():
    """`unknown = "refuse"` says which table to write."""
    with pytest.raises(ConfigError, match=r"\[services.orders\].*\"passthrough\""):
        source_of(service_key("orders"), MeshOptions(unknown="refuse"))
