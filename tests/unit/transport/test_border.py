"""Objects of two families do not mix."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib import Mesh
from meshlib.transport.families import clients, family

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")

PAIRS = pytest.mark.parametrize(("own", "other"), [(httpx, httpx2), (httpx2, httpx)], ids=["httpx", "httpx2"])
WHERE = "static://127.0.0.1:1"


def answer(module: Any) -> Any:
    """A transport of `module` that answers 200."""
    return module.MockTransport(lambda request: module.Response(200))


@PAIRS
@pytest.mark.parametrize(
    "arguments",
    [
        lambda other: {"timeout": other.Timeout(3)},
        lambda other: {"limits": other.Limits()},
        lambda other: {"auth": other.BasicAuth("u", "p")},
        lambda other: {"cookies": other.Cookies()},
        lambda other: {"params": other.QueryParams("a=1&a=2")},
        lambda other: {"proxy": other.Proxy("http://127.0.0.1:1")},
        lambda other: {"transport": answer(other)},
        lambda other: {"mounts": {"http://x": answer(other)}},
    ],
    ids=["timeout", "limits", "auth", "cookies", "params", "proxy", "transport", "mounts"],
)
@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_clients_refuse_strangers(own: Any, other: Any, arguments: Any, kind: str) -> None:
    """Each by name, with where it belongs, when the client is made."""
    with pytest.raises(TypeError) as raised:
        getattr(clients(own.__name__), kind)("orders", discovery=WHERE, **arguments(other))
    text = str(raised.value)
    assert own.__name__ in text
    assert f"got {other.__name__}." in text


@PAIRS
def test_calls_refuse_strangers(own: Any, other: Any) -> None:
    """Before anything is sent: a request, a URL, an authentication, parameters, cookies, a timeout."""
    sent: list[Any] = []

    def handler(request: Any) -> Any:
        sent.append(request)
        return own.Response(200)

    with clients(own.__name__).Client("orders", transport=own.MockTransport(handler)) as client:
        for act in (
            lambda: client.send(other.Request("GET", "http://orders/")),
            lambda: client.get(other.URL("http://orders/")),
            lambda: client.get("/", auth=other.DigestAuth("u", "p")),
            lambda: client.get("/", params=other.QueryParams("a=1")),
            lambda: client.get("/", timeout=other.Timeout(1)),
        ):
            with pytest.raises(TypeError, match=rf"{other.__name__}\."):
                act()
        with pytest.raises(TypeError, match=rf"{other.__name__}\."):
            client.timeout = other.Timeout(1)
        assert sent == []
        assert client.get("/").status_code == 200


@PAIRS
def test_transports_refuse_strangers(own: Any, other: Any) -> None:
    """The other family's client on ours; what a user's transport answers; the arguments of a transport."""
    with Mesh(discovery=WHERE, telemetry=False) as mesh:
        ours = mesh.transport(family=own.__name__)
        got = rf"objects of {own.__name__}, got {other.__name__}\.Request"
        with other.Client(transport=ours) as client, pytest.raises(TypeError, match=got):
            client.get("http://orders/")
        with pytest.raises(TypeError, match=rf"{other.__name__}\.Limits"):
            mesh.async_transport(family=own.__name__, limits=other.Limits())
    confused = own.MockTransport(lambda request: own.Response(200))
    confused.handle_request = lambda request: other.Response(200)
    got = rf"got {other.__name__}\.Response"
    with (
        clients(own.__name__).Client("orders", transport=confused) as client,
        pytest.raises(TypeError, match=got),
    ):
        client.get("/")


@PAIRS
def test_subclasses_are_strangers_too(own: Any, other: Any) -> None:
    """A user's own class is of the family that it inherits from; classes of nobody's pass."""

    class Mine(other.Auth):  # type: ignore[misc]
        """Somebody's."""

    class Neutral:
        """Nobody's."""

    border = family(own.__name__).BINDING.border
    with pytest.raises(TypeError, match=rf"{other.__name__}\.Auth"):
        border.refuse("auth=", Mine())
    border.refuse("anything", Neutral(), None, 1, "httpx", b"", own.Timeout(1), print)
    with pytest.raises(TypeError, match="takes objects of"):
        border.request(Neutral())
    with pytest.raises(TypeError, match="a response takes"):
        border.response(own.Response(200, stream=Neutral()), own.SyncByteStream)
