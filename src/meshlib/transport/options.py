"""CallOptions: what a meshlib client knows about a logical call and httpx has no place for.

`Client.send` puts one into `request.extensions["meshlib"]`. httpx copies extensions to every redirect and authentication hop, so
all hops share one deadline and one budget deposit.
"""

from __future__ import annotations

from typing import Any

__all__ = ["EXTENSION", "CallOptions", "WholeTimeout", "whole_timeout"]

EXTENSION = "meshlib"
POLICY = 0.0
"""A deadline of 0 means: the policy's."""


class WholeTimeout:
    """`timeout=2.0` as given for one request: seconds for the whole call, None for no deadline."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds


class CallOptions:
    """`stream`: decided at the head; `deadline`: absolute monotonic seconds, `inf` none, 0 the policy's; `whole`: the
    timeout it came from, for a request that is sent again; `begun`: whether a first hop has been sent."""

    __slots__ = ("begun", "deadline", "stream", "whole")

    def __init__(self, stream: bool, deadline: float = POLICY, whole: WholeTimeout | None = None) -> None:
        self.stream = stream
        self.deadline = deadline
        self.whole = whole
        self.begun = False


def whole_timeout(timeout: Any) -> WholeTimeout | None:
    """A number or None is the whole call's; `httpx.Timeout`, tuples and "not given" keep httpx's meaning."""
    if timeout is None:
        return WholeTimeout(None)
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        if not timeout >= 0:
            raise ValueError(f"timeout must be a number of seconds from 0 up, got {timeout!r}")
        return WholeTimeout(float(timeout))
    return None
