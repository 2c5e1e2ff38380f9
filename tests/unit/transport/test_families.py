"""Families by name."""

from __future__ import annotations

import sys

import pytest

from meshlib import AsyncClient, Client, ConfigError, Mesh
from meshlib.transport.families import clients, family


def test_names() -> None:
    """The two that there are, and a clear word about any other."""
    assert family("httpx").BINDING.name == "httpx"
    assert clients("httpx").Client is Client
    with pytest.raises(ConfigError, match="unknown client family 'requests': known are 'httpx' and 'httpx2'"):
        family("requests")
    mesh = Mesh(discovery="static://127.0.0.1:1", telemetry=False)
    with mesh, pytest.raises(ConfigError, match="'aiohttp'"):
        mesh.client("orders", family="aiohttp")  # type: ignore[call-overload]


def test_a_mesh_makes_either() -> None:
    """Clients and transports, each a real one of its family; their bindings are apart."""
    httpx, httpx2 = pytest.importorskip("httpx"), pytest.importorskip("httpx2")
    with Mesh(discovery="static://127.0.0.1:1", telemetry=False) as mesh:
        for module in (httpx, httpx2):
            name = module.__name__
            assert isinstance(mesh.client("orders", family=name), module.Client)
            assert isinstance(mesh.async_client("orders", family=name), module.AsyncClient)
            assert isinstance(mesh.transport(family=name), module.BaseTransport)
            assert isinstance(mesh.async_transport(family=name, http2=False), module.AsyncBaseTransport)
        assert isinstance(mesh.client(), Client)
        assert isinstance(mesh.async_client(), AsyncClient)
    assert family("httpx").BINDING is not family("httpx2").BINDING


def test_what_is_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, not a bare ModuleNotFoundError, wherever the family is asked for."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    for name in ("meshlib.httpx2", "meshlib.transport.client_httpx2", "meshlib.transport.family_httpx2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import meshlib.transport as package

    monkeypatch.delattr(package, "family_httpx2", raising=False)
    monkeypatch.delattr(package, "client_httpx2", raising=False)
    with pytest.raises(ImportError, match=r'pip install "meshlib-client\[httpx2\]"'):
        import meshlib.httpx2  # noqa: F401
    with Mesh(discovery="static://127.0.0.1:1", telemetry=False) as mesh:
        for make in (mesh.client, mesh.async_client, mesh.transport, mesh.async_transport):
            with pytest.raises(ImportError, match=r'pip install "meshlib-client\[httpx2\]"') as raised:
                make(family="httpx2")
            assert raised.value.name == "httpx2"
