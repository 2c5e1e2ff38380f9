"""What spectators are told."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.cli.demo.board import News
from meshlib.core.listener import Event


@pytest.mark.parametrize(
    ("kind", "facts", "text"),
    [
        ("ejection", {"node": "a:1", "seconds": 1.04, "reason": "5 failures in a row"},
         "meshlib: orders-1 ejected for 1.0 s: 5 failures in a row"),
        ("restored", {"node": "a:1"}, "meshlib: orders-1 is back in"),
        ("breaker", {"from": "closed", "to": "open", "reason": "why"}, "meshlib: breaker closed -> open: why"),
        ("endpoints", {"before": 3, "now": 4}, "meshlib: discovery lists 4 endpoints"),
        ("panic", {"on": True}, "meshlib: too many endpoints are out, so all are used"),
    ],
)  # fmt: skip
def test_sentences(kind: str, facts: dict[str, Any], text: str) -> None:
    """Each event worth a line has one, with the replica's name and its time."""
    news = News(lambda address: {"a:1": "orders-1"}[address], lambda: 7.0)
    news.event(Event(kind, "orders", 1.0, facts))
    assert list(news.lines) == [(7.0, text)]


@pytest.mark.parametrize(
    ("kind", "facts"), [("hint", {}), ("panic", {"on": False}), ("refusal", {"reason": "x"})]
)
def test_silence(kind: str, facts: dict[str, Any]) -> None:
    """The rest is left out."""
    news = News(str, lambda: 0.0)
    news.event(Event(kind, "orders", 1.0, facts))
    assert not news.lines
