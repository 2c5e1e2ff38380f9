"""What a client's settings come to."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.engine.call import IDEMPOTENT
from meshlib.transport import fast_profile
from meshlib.transport.fast_profile import Profile
from tests.fast_clients import FAMILIES, Answer, Family

pytestmark = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def profile_of(family: Family, **arguments: Any) -> tuple[Any, Profile]:
    """A client's, and the client."""
    arguments.setdefault("base_url", "http://orders")
    client = family.ours([Answer()], **arguments)
    return client, Profile(client, client.kind)


def test_methods_are_learnt_from_the_family(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """In capitals; which of them announce an empty body is the family's to say. A bounded number is kept."""
    monkeypatch.setattr(fast_profile, "_METHODS_KEPT", 1)
    kind = fast_profile.ClientKind(
        family.module.Client,
        family.module,
        family.lazy.Request,
        family.lazy.Response,
        family.module._client.ClientState,
    )
    assert kind.method("get") == ("GET", IDEMPOTENT, False)
    assert kind.method("post") == ("POST", 0, True)
    assert kind.method("post") is not kind.method("post")
    assert kind.method("get") is kind.method("get")


def test_free(family: Family) -> None:
    """While nothing of the long way is in use; what is changed in place is seen."""
    client, profile = profile_of(family)
    assert profile.free()
    client.event_hooks["request"].append(print)
    assert not profile.free()
    client.event_hooks["request"].clear()
    client._mounts["all://"] = None
    assert not profile.free()
    client._mounts.clear()
    client.headers["x"] = "1"
    assert not profile.free()
    assert not profile.holds()
    assert not profile_of(family, auth=("a", "b"))[1].free()
    assert profile_of(family, params={"a": 1})[1].free()


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "/a/../b"},
        {"url": "http://user@orders/"},
        {"url": b"/bytes"},
        {"method": 1},
        {"content": iter([b"x"])},
        {"params": {"a": None}},
        {"params": {}},
        {"params": "a=1"},
        {"headers": {"Host": "x"}},
    ],
)
def test_what_the_family_builds(family: Family, arguments: dict[str, Any]) -> None:
    """Everything that is not simple."""
    given = {"method": "GET", "url": "/", "content": None, "json": None, "params": None, "headers": None}
    _, profile = profile_of(family)
    assert profile.request(*given.values()) is not None
    assert profile.request(*{**given, **arguments}.values()) is None


def test_clients_whose_requests_the_family_builds(family: Family) -> None:
    """With parameters or cookies of their own, an odd base URL, or somebody's own classes."""
    for arguments in (
        {"params": {"a": 1}},
        {"cookies": {"a": "1"}},
        {"base_url": ""},
        {"base_url": "http://o/?x"},
    ):
        _, profile = profile_of(family, **arguments)
        assert profile.request("GET", "/", None, None, None, None) is None
    _, profile = profile_of(family, base_url="")
    assert profile.request("GET", "http://orders/", None, None, None, None) is not None

    class Headers(family.module.Headers):  # type: ignore[name-defined, misc]
        """Somebody's own."""

    client = family.ours([Answer()], base_url="http://orders")
    client._headers = Headers(client.headers)
    assert Profile(client, client.kind).request("GET", "/", None, None, None, None) is None
    client, profile = profile_of(family)
    client.cookies.jar = type("Jar", (type(client.cookies.jar),), {})()
    assert profile.request("GET", "/", None, None, None, None) is None


def test_bodies(family: Family) -> None:
    """Announced as the family does."""
    _, profile = profile_of(family)

    def ending(method: str, content: Any, json: Any, headers: Any = None) -> bytes:
        request = profile.request(method, "/", content, json, None, headers)
        block: bytes = request._block
        return block[-len(b"Content-Length: 2\r\nContent-Type: application/json\r\n") :] + request._body

    assert ending("POST", None, {}).endswith(b"Content-Length: 2\r\nContent-Type: application/json\r\n{}")
    assert ending("POST", None, {}, {"content-type": "x"}).endswith(
        b"content-type: x\r\nContent-Length: 2\r\n{}"
    )
    assert ending("GET", "ü", None).endswith("Content-Length: 2\r\nü".encode())
    for content in (None, b"", ""):
        block = profile.request("PUT", "/", content, None, None, None)._block
        assert block.startswith(b"Host: orders\r\nContent-Length: 0\r\n")
        assert b"Length" not in profile.request("GET", "/", content, None, None, None)._block
