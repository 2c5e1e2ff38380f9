"""No double spans: instrumentations of HTTP clients stay quiet inside an attempt that meshlib traces itself.

OpenTelemetry has no public way to say so between libraries. Instrumentations look for two keys in the current context;
their names are private to the API (opentelemetry.context, 1.45) and random a process, so they are fetched here and nowhere else.
With an API that has them no longer nothing is suppressed and nothing breaks.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context

__all__ = ["silenced", "suppressed"]

_HTTP: str = getattr(otel, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "")
_ALL: str = getattr(otel, "_SUPPRESS_INSTRUMENTATION_KEY", "")
_PLAIN = "suppress_instrumentation"
"""The older name that instrumentations still honour."""

# Any true value suppresses; this one tells ours apart, so that a meshlib call from within an attempt (a hook that fetches
# a token, say) is traced all the same.
_OURS: Any = "meshlib"


def suppressed(context: Context) -> Context:
    """`context` in which HTTP instrumentations other than ours make no spans and write no headers."""
    return otel.set_value(_HTTP, _OURS, context) if _HTTP else context


def silenced(context: Context) -> bool:
    """Whether somebody else asked for silence: an exporter sending its data, or the application."""
    if not context:
        return False
    return bool(
        context.get(_ALL) or context.get(_PLAIN) or context.get(_HTTP, _OURS) not in (_OURS, None, False)
    )
