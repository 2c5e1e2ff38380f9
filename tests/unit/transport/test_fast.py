"""The fast way through a client, and every turn that leads off it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from meshlib.core.deadline import NEVER
from meshlib.transport.fast_profile import Profile
from meshlib.transport.options import EXTENSION, POLICYS
from tests.fast_clients import ATTEMPT, FAMILIES, Answer, Family

pytestmark = [
    pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"]),
    pytest.mark.parametrize("family", FAMILIES, ids=repr),
]


def finished(result: Any) -> Any:
    """What a client of either colour returned."""
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:
    return await result


def client_of(family: Family, asynchronous: bool, *answers: Answer, **arguments: Any) -> Any:
    """One of ours, at http://orders."""
    arguments.setdefault("base_url", "http://orders")
    return family.ours(list(answers) or [Answer(content=b"{}")], asynchronous, **arguments)


def fast(response: Any) -> bool:
    """Whether the family's client never had it in its hands."""
    return "stream" not in vars(response)


def lean(family: Family, client: Any) -> bool:
    """Whether the last request was built without the family."""
    return type(client.sent[-1]) is family.lazy.Request


def test_the_ordinary_call(family: Family, asynchronous: bool) -> None:
    """By every method, with what a call usually brings."""
    client = client_of(family, asynchronous)
    assert inspect.iscoroutinefunction(client.request) is asynchronous
    calls: list[Callable[[], Any]] = [
        lambda: client.get("/v1"),
        lambda: client.get("/v1", params={"a": 1}, headers={"x-a": "1"}, timeout=2.0),
        lambda: client.get("http://other:81/v1", auth=None, follow_redirects=True),
        lambda: client.get(family.module.URL("http://other/v1")),
        lambda: client.post("/v1", json={"a": 1}),
        lambda: client.put("/v1", content="text", timeout=family.module.Timeout(1.0)),
        lambda: client.request("PATCH", "/v1", content=b"x", timeout=None),
        lambda: client.send(client.build_request("DELETE", "/v1")),
        lambda: client.send(client.build_request("GET", "/v1"), auth=None, follow_redirects=True),
    ]
    for call in calls:
        response = finished(call())
        assert fast(response)
        assert lean(family, client)
        assert response.request is client.sent[-1]
        assert response.history == []


def test_built_by_the_family_and_sent_fast(family: Family, asynchronous: bool) -> None:
    """Forms, odd URLs, cookies that the client has, parameters of its own: what only matters to building."""
    client = client_of(family, asynchronous)
    calls: list[Callable[[], Any]] = [
        lambda: client.post("/v1", data={"a": "1"}),
        lambda: client.get("/a/../b"),
        lambda: client.get("/v1", headers=[("x-a", "1")]),
        lambda: client.get("/v1", headers={"connection": "close"}),
        lambda: client.get("/v1", params={"a": ["1", "2"]}),
        lambda: client.get("/v1", extensions={"trace": None}),
        lambda: client.send(family.module.Request("GET", "http://orders/v1")),
    ]
    for call in calls:
        response = finished(call())
        assert fast(response)
        assert not lean(family, client)
    client.cookies.set("id", "1")
    assert fast(finished(client.get("/v1")))
    assert client.sent[-1].headers["cookie"] == "id=1"
    client.cookies.clear()
    client.params = {"key": "1"}
    assert fast(finished(client.get("/v1")))
    assert client.sent[-1].url.query == b"key=1"


def test_features_take_the_family_s_way(family: Family, asynchronous: bool) -> None:
    """For the calls that use them, and only for those."""
    client = client_of(family, asynchronous)
    one = family.module.Request("GET", "http://orders/v1", content=iter([b"x"]))
    calls: list[Callable[[], Any]] = [
        lambda: client.get("/v1", auth=("user", "secret")),
        lambda: client.get("http://user:secret@orders/v1"),
        lambda: client.send(client.build_request("GET", "http://user:secret@orders/v1")),
        lambda: client.send(client.build_request("GET", "/v1"), auth=("user", "secret")),
        lambda: client.send(client.build_request("GET", "/v1"), stream=True),
    ]
    if not asynchronous:
        calls.append(lambda: client.send(one))
    for call in calls:
        response = finished(call())
        assert not fast(response)
        finished(response.aread() if asynchronous else response.read())
        assert response.content == b"{}"
    assert fast(finished(client.get("/v1")))


def test_settings_may_change_at_any_time(family: Family, asynchronous: bool) -> None:
    """Set, or changed in place: the next call knows."""
    client = client_of(family, asynchronous, default_encoding="latin-1")
    seen: list[Any] = []

    def hook(one: Any) -> None:
        seen.append(one)

    async def async_hook(one: Any) -> None:
        seen.append(one)

    assert finished(client.get("/v1")).default_encoding == "latin-1"
    client.headers["x-a"] = "1"
    assert fast(finished(client.get("/v1")))
    assert client.sent[-1].headers["x-a"] == "1"
    client.headers = {"x-b": "2"}
    client.base_url = "http://other/api"
    assert fast(finished(client.get("/v1")))
    assert (str(client.sent[-1].url), client.sent[-1].headers.get("x-a")) == ("http://other/api/v1", None)
    client.event_hooks["response"].append(async_hook if asynchronous else hook)
    assert not fast(finished(client.get("/v1")))
    assert len(seen) == 1
    client.event_hooks = {}
    client.auth = ("user", "secret")
    assert not fast(finished(client.get("/v1")))
    client.auth = None
    client._mounts[family.module._utils.URLPattern("all://other")] = client._transport
    assert not fast(finished(client.get("/v1")))
    client._mounts.clear()
    client.timeout = 3.0
    assert fast(finished(client.get("/v1")))


def test_somebody_s_own_methods(family: Family, asynchronous: bool) -> None:
    """In the instance, in the family's class, in a subclass: each sees every call once."""
    client = client_of(family, asynchronous)
    for owner in (client, type(client), type(client).kind.client):
        kept = owner.send
        with mock.patch.object(owner, "send", autospec=owner is not client, side_effect=kept) as send:
            assert not fast(finished(client.get("/v1")))
        assert send.call_count == 1
        assert fast(finished(client.get("/v1")))
    for owner in (client, type(client)):
        kept = owner.build_request
        with mock.patch.object(
            owner, "build_request", autospec=owner is not client, side_effect=kept
        ) as build:
            finished(client.get("/v1"))
        assert build.call_count == 1


def test_a_subclass_of_its_own(family: Family, asynchronous: bool) -> None:
    """One that adds is fast, one that overrides is asked."""
    kind = family.client_class(asynchronous)

    class Adding(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.calls = 0

        def request(self, *arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return super().request(*arguments, **named)

    class Overriding(kind):  # type: ignore[misc, valid-type]
        def _merge_url(self, url: Any) -> Any:
            return super()._merge_url(f"/v2{url}")

    adding = client_of(family.with_client(Adding, asynchronous), asynchronous)
    assert fast(finished(adding.get("/v1")))
    assert adding.calls == 1
    overriding = client_of(family.with_client(Overriding, asynchronous), asynchronous)
    assert not fast(finished(overriding.get("/v1")))
    assert overriding.sent[0].url.path == "/v2/v1"


def test_the_first_call_opens_and_a_closed_client_refuses(family: Family, asynchronous: bool) -> None:
    """As the family."""
    client = client_of(family, asynchronous)
    opened, client._state = client._state, type(client._state).UNOPENED
    finished(client.get("/v1"))
    assert client._state is opened
    finished(client.aclose() if asynchronous else client.close())
    for call in (lambda: client.get("/v1"), lambda: client.send(client.build_request("GET", "/v1"))):
        with pytest.raises(RuntimeError, match="the client has been closed"):
            finished(call())


def test_deadlines(family: Family, asynchronous: bool) -> None:
    """A number bounds the whole call, the family's own timeouts leave that to the policy."""
    client = client_of(family, asynchronous)
    client._mesh = mock.Mock(clock=lambda: 100.0)

    def options(**arguments: Any) -> Any:
        finished(client.get("/v1", **arguments))
        return client.sent[-1].extensions[EXTENSION], client.sent[-1].extensions["timeout"]

    none = dict.fromkeys(("connect", "read", "write", "pool"))
    found, four = options()
    assert (found.whole, found.deadline, found.stream, found.begun, four) == (
        POLICYS,
        0.0,
        False,
        False,
        none,
    )
    found, four = options(timeout=2.0)
    assert (found.deadline, four) == (102.0, none)
    found, four = options(timeout=None)
    assert (found.deadline, four) == (NEVER, none)
    for own in (family.module.Timeout(2.0, read=1.0), (2.0, 1.0, 2.0, 2.0)):
        found, four = options(timeout=own)
        assert (found.whole, four) == (POLICYS, {"connect": 2.0, "read": 1.0, "write": 2.0, "pool": 2.0})
    with pytest.raises(TypeError, match="timeout takes seconds"):
        options(timeout="soon")
    client.timeout = 5.0
    built = client.build_request("GET", "/v1", timeout=3.0)
    assert built.extensions[EXTENSION].seconds == 3.0
    assert EXTENSION not in client.build_request("GET", "/v1").extensions
    for expected in (103.0, 103.0):  # a request may be sent again
        finished(client.send(built))
        assert client.sent[-1].extensions[EXTENSION].deadline == expected
    del built.extensions["timeout"]
    finished(client.send(built))
    assert client.sent[-1].extensions["timeout"] == none
    assert options()[0].deadline == 105.0


def test_cookies_are_kept(family: Family, asynchronous: bool) -> None:
    """And the response has its own."""
    client = client_of(family, asynchronous, Answer(headers=[(b"SET-cookie", b"id=1; Path=/")]))
    response = finished(client.get("/v1"))
    assert fast(response)
    assert dict(response.cookies) == dict(client.cookies) == {"id": "1"}


def test_the_family_s_line_in_the_log(
    family: Family, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where anybody reads it."""
    client = client_of(family, asynchronous, Answer(404, reason=b"Gone"))
    name = family.module.__name__
    with caplog.at_level(logging.INFO, logger=name):
        finished(client.get("/v1"))
    assert [one.getMessage() for one in caplog.records] == [
        'HTTP Request: GET http://orders/v1 "HTTP/1.1 404 Gone"'
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger=name):
        assert "url" not in vars(finished(client.get("/v1")).request)
    assert caplog.records == []


def test_errors_know_their_request(family: Family, asynchronous: bool) -> None:
    """As in the family; others pass as they are."""
    client = client_of(family, asynchronous)
    client._transport.answer = mock.Mock(side_effect=family.module.ConnectError("no"))
    with pytest.raises(family.module.ConnectError) as known:
        finished(client.get("/v1"))
    assert known.value.request is client.sent[-1]
    client._transport.answer = mock.Mock(side_effect=KeyError("no"))
    with pytest.raises(KeyError):
        finished(client.get("/v1"))


def test_arguments_that_nobody_knows(family: Family, asynchronous: bool) -> None:
    """Are refused, as by the family."""
    client = client_of(family, asynchronous)
    for call in (
        lambda: client.request("GET", "/v1", nonsense=1),
        lambda: client.build_request("GET", "/v1", nonsense=1),
        lambda: client.send(client.build_request("GET", "/v1"), nonsense=1),
    ):
        with pytest.raises(TypeError, match="nonsense"):
            finished(call())


def test_seen_by_a_hook_of_the_mesh(family: Family, asynchronous: bool) -> None:
    """An answer that was read below the client is handed on as the family hands it on."""
    client = client_of(family, asynchronous)

    def looked(request: Any) -> Any:
        response = family.lazy.Response.made(ATTEMPT, 200, b"OK", [], b"abc", request)
        assert response.read() == b"abc"
        return response

    client._transport.answer = looked
    response = finished(client.get("/v1"))
    assert not fast(response)
    assert (response.content, response.is_closed, response.request) == (b"abc", True, client.sent[-1])


def test_set_while_a_profile_is_made(family: Family, asynchronous: bool) -> None:
    """By another thread: what was before is not kept."""
    client = client_of(family, asynchronous)

    def late(one: Any, kind: Any) -> Any:
        profile = Profile(one, kind)
        vars(one)["_headers"] = family.module.Headers({"x-late": "1"})
        return profile

    client._fast = None
    with mock.patch("meshlib.transport.fast.Profile", side_effect=late):
        client._profile()
    assert client._fast is None
    assert fast(finished(client.get("/v1")))
    assert client.sent[-1].headers["x-late"] == "1"
