"""Telling httpx's own functions from what tools put in their place."""

from __future__ import annotations

import functools
import timeit
from typing import Any
from unittest import mock

import httpx
import pytest
import wrapt

from meshlib.transport.client import AsyncClient, Client
from meshlib.transport.patched import ClientWatch, original, watch_of

METHODS = (
    "request",
    "send",
    "build_request",
    "_send_handling_auth",
    "_send_handling_redirects",
    "_send_single_request",
    "_transport_for_url",
)


def replaced(function: Any) -> Any:
    """A plain function around `function`, as Sentry and respx write them."""

    def instead(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return instead


def disguised(function: Any) -> Any:
    """One with the name and module of what it wraps, as vcrpy writes them."""
    return functools.wraps(function)(replaced(function))


def proxied(function: Any) -> Any:
    """wrapt's proxy, equal to what it wraps, as Datadog's and OpenTelemetry's are."""
    return wrapt.FunctionWrapper(
        function, lambda wrapped, instance, arguments, options: wrapped(*arguments, **options)
    )


WAYS = [replaced, disguised, proxied, lambda function: mock.Mock(), functools.partial]


def test_originals_are_plain_functions_of_the_packages() -> None:
    """What httpx, httpcore and meshlib define in their classes is theirs."""
    for owner in (httpx.Client, httpx.AsyncClient, Client, AsyncClient):
        for name in METHODS:
            [function] = [vars(cls)[name] for cls in owner.__mro__ if name in vars(cls)][:1]
            assert original(function), (owner, name)


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_replacement_is_told(way: Any) -> None:
    """Neither a borrowed name nor equality passes for the original, nor does None."""
    assert not original(way(httpx.Client.send))
    assert not original(None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("family", "ours"), [(httpx.Client, Client), (httpx.AsyncClient, AsyncClient)])
def test_a_patch_is_seen_and_so_is_its_end(
    family: Any, ours: type, name: str, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patched after the first call, still patched at the next, and original again once it is taken back."""
    watch = ClientWatch(ours)
    assert not watch.patched()
    with monkeypatch.context() as patch:
        patch.setattr(family, name, way(getattr(family, name)))
        assert watch.patched()
        assert watch.patched()
        assert ClientWatch(ours).patched()
    assert not watch.patched()


def test_one_patch_under_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tools, taken back one by one: patched until the last is gone."""
    watch = ClientWatch(Client)
    send = httpx.Client.send
    monkeypatch.setattr(httpx.Client, "send", replaced(send))
    assert watch.patched()
    monkeypatch.setattr(httpx.Client, "send", proxied(httpx.Client.send))
    assert watch.patched()
    monkeypatch.setattr(httpx.Client, "send", replaced(send))
    assert watch.patched()
    monkeypatch.setattr(httpx.Client, "send", send)
    assert not watch.patched()


def test_a_patch_of_our_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """`mock.patch.object(meshlib.Client, "send")` in somebody's test."""
    assert not watch_of(Client).patched()
    monkeypatch.setattr(Client, "send", replaced(Client.send))
    assert watch_of(Client).patched()


def test_subclasses_that_override() -> None:
    """An override of the user's own has to be called; a subclass without one is as fast as its base."""

    class Plain(Client):
        def get_order(self, number: int) -> httpx.Response:
            return self.get(f"/v1/orders/{number}")

    class Signing(Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            return super().send(request, **options)

    assert not watch_of(Plain).patched()
    assert watch_of(Signing).patched()
    assert watch_of(Plain) is watch_of(Plain)


def test_other_methods_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leads to `request` anyway may be wrapped without a cost."""
    monkeypatch.setattr(httpx.Client, "get", replaced(httpx.Client.get))
    assert not watch_of(Client).patched()


def test_asking_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of a microsecond on a quiet machine; here the best of many short runs, with room for a slow one."""
    watch = ClientWatch(Client)
    assert min(timeit.repeat(watch.patched, number=1000, repeat=30)) / 1000 < 1e-6
    monkeypatch.setattr(httpx.Client, "send", proxied(httpx.Client.send))
    assert min(timeit.repeat(watch.patched, number=1000, repeat=30)) / 1000 < 1e-6
