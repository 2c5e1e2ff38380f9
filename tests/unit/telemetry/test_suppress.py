"""Silence between instrumentations."""

from __future__ import annotations

from opentelemetry import context as otel
from opentelemetry.context import Context

from meshlib.telemetry import suppress


def test_our_own_silence_is_not_for_us() -> None:
    """A meshlib call from within a meshlib attempt is traced; somebody else's wish is honoured."""
    assert not suppress.silenced(suppress.suppressed(Context()))
    assert suppress.silenced(otel.set_value(suppress._HTTP, True, Context()))
    assert suppress.silenced(otel.set_value(suppress._ALL, True, Context()))
    assert suppress.silenced(Context({"suppress_instrumentation": True}))
    assert not suppress.silenced(Context())
    assert not suppress.silenced(Context({"other": 1}))


def test_without_the_private_name(monkeypatch: object) -> None:
    """An API that has lost the key suppresses nothing and breaks nothing."""
    monkeypatch.setattr(suppress, "_HTTP", "")  # type: ignore[attr-defined]
    context = Context({"a": 1})
    assert suppress.suppressed(context) is context
    assert not suppress.silenced(context)
