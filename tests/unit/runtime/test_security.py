"""Which credentials the services of a mesh have. The files are real, nobody waits for them."""

from __future__ import annotations

import json

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.core.uri import service_key
from meshlib.errors import ConfigError
from meshlib.mesh import Mesh
from meshlib.policy import PolicySnapshot, document_of
from meshlib.runtime.security import in_force
from tests.tls import Pki

PKI = Pki()
HERE = Endpoint(host="10.0.0.1", port=1)


@pytest.fixture
def files(tmp_path):
    """The `tls` keys of the process `web`."""
    return PKI.write(tmp_path, "web")


def orders(own=None, **defaults):
    """A policy with one balanced service, with a `tls` of its own."""
    table = {"discovery": "static://10.0.0.1:1"}
    return {**defaults, "services": {"orders": table if own is None else {**table, "tls": own}}}


def security(mesh, target="orders"):
    """Of a service that is called now for the first time."""
    name = service_key(target)
    mesh.runtime.service(name)
    return mesh.runtime.security(name.key)


def test_none_without_a_group(files):
    """Nothing of it is loaded for a mesh without TLS; off is the same as no group."""
    for policy in (orders(), orders("off", tls=files)):
        with Mesh(policy=policy, telemetry=False) as mesh:
            assert security(mesh) is None
            assert (mesh.runtime._identities is None) is ("tls" not in policy)
            assert mesh.state()["identities"] == []
            assert mesh.state()["services"]["orders"]["tls"] is None


def test_services_share_what_is_the_same(files):
    """The same files are one identity with one set of contexts."""
    policy = orders("strict", tls=files)
    policy["services"]["billing"] = {"discovery": "static://10.0.0.2:1"}
    with Mesh(policy=policy, telemetry=False) as mesh:
        one, two = security(mesh), security(mesh, "billing")
        assert one.rotation is two.rotation
        context = one.connection(HERE, "http", "orders").context
        assert two.connection(HERE, "https", "billing").context is context
        assert two.connection(HERE, "http", "billing") is None


def test_files_that_are_not_there(tmp_path):
    """A service whose identity cannot be loaded is not called at all, and says why, until it can."""
    missing = {"mode": "strict", "ca": str(tmp_path / "ca.pem")}
    with Mesh(policy=orders(missing), telemetry=False) as mesh:
        with pytest.raises(ConfigError, match=r"ca.pem: cannot be read: No such file"):
            security(mesh)
        assert mesh.state()["services"] == {}
        PKI.write(tmp_path, "web")
        assert security(mesh).connection(HERE, "http", "orders") is not None


def test_other_peoples_hosts(files):
    """What the defaults say of our services holds for a host that is passed through only when it is named."""
    policy = orders(tls={**files, "mode": "strict"})
    policy["services"]["named.example"] = {"tls": {"name": "x"}}
    policy["services"]["plain.example"] = {"timeout": 1}
    with Mesh(policy=policy, telemetry=False) as mesh:
        assert security(mesh).options.mode == "strict"
        assert security(mesh, "https://public.example") is None
        assert security(mesh, "https://plain.example") is None
        assert security(mesh, "https://named.example").options.mode == "strict"
    assert in_force(document_of(policy), "orders", None, None) is None


def test_a_new_policy(files):
    """The same group keeps its connections; a changed one makes them old; a broken one changes nothing."""
    with Mesh(policy=orders("strict", tls=files), telemetry=False) as mesh:
        runtime = mesh.runtime
        first = security(mesh)

        def adopt(version, policy):
            runtime.adopt(PolicySnapshot(document_of(policy), version, "code"))
            return runtime.security("orders")

        assert adopt("2", orders("strict", tls=files, timeout=3)) is first
        changed = adopt("3", orders({"mode": "strict", "name": "o"}, tls=files))
        assert changed.version > first.version
        assert changed.rotation is first.rotation
        with pytest.raises(ConfigError, match="cannot be read"):
            adopt("4", orders({"mode": "strict", "ca": "/nowhere/ca.pem"}))
        assert runtime.security("orders") is changed
        assert adopt("5", orders()) is None
        assert mesh.state()["identities"] == []


def test_state_shows_no_secret(files):
    """Who we are, until when, and what a service demands."""
    policy = orders({"mode": "strict", "spiffe_ids": ["spiffe://mesh.test/orders"]}, tls=files)
    with Mesh(policy=policy, telemetry=False) as mesh:
        version = security(mesh).version
        said = mesh.state()
        assert said["services"]["orders"]["tls"] == {
            "mode": "strict",
            "accepts": ["spiffe://mesh.test/orders"],
            "identity": files["cert"],
            "version": version,
        }
        [identity] = said["identities"]
        assert 3000 < identity.pop("expires") <= 3600
        assert identity.pop("version") <= version
        assert identity == {
            "source": files["cert"],
            "spiffe_id": "spiffe://mesh.test/web",
            "names": ["web"],
            "error": "",
        }
        assert "PRIVATE" not in json.dumps(said) + repr(security(mesh))


def test_a_server_of_this_process(files, tmp_path):
    """The files of the defaults, or those given; equal arguments are the same context."""
    with Mesh(policy=orders(tls={**files, "mode": "strict"}), telemetry=False) as mesh:
        context = mesh.server_ssl_context()
        assert mesh.server_ssl_context() is context
        assert mesh.server_ssl_context(clients="permissive") is not context
        assert mesh.server_credentials() is mesh.server_credentials()
        given = PKI.write(tmp_path, "orders")
        other = mesh.server_ssl_context(cert=given["cert"], key=given["key"])
        assert other.current is not context.current
        assert [one["source"] for one in mesh.state()["identities"]] == [files["cert"], given["cert"]]
        mesh.runtime.adopt(PolicySnapshot(document_of(orders()), "2", "code"))
        assert len(mesh.state()["identities"]) == 2
    with Mesh(policy=orders(tls={"ca": files["ca"]}), telemetry=False) as mesh:
        with pytest.raises(ConfigError, match="a server needs a certificate"):
            mesh.server_ssl_context()
        with pytest.raises(ConfigError, match="cannot be read"):
            mesh.server_ssl_context(cert="/nowhere/orders.pem")
