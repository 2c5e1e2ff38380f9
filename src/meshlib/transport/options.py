"""CallOptions: what a meshlib client knows about a logical call and httpx has no place for.

`Client.send` puts one into `request.extensions["meshlib"]`. httpx copies extensions to every redirect and authentication hop, so
all hops share one deadline and one budget deposit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER

if TYPE_CHECKING:
    from meshlib.transport.binding import Binding

__all__ = ["EXTENSION", "POLICYS", "CallOptions", "WholeTimeout", "whole_timeout"]

EXTENSION = "meshlib"


class WholeTimeout:
    """`timeout=2.0` as given to a client or for one request: `seconds` for the whole call."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds

    def deadline(self, now: float) -> float:
        """Absolute: `inf` for none, 0 for the policy's."""
        return 0.0 if self is POLICYS else now + self.seconds


POLICYS = WholeTimeout(0.0)
"""Nothing was said about the whole call: its time is the policy's."""
_NONE = WholeTimeout(NEVER)


class CallOptions:
    """`stream`: decided at the head; `deadline`: absolute monotonic seconds, `inf` none, 0 the policy's; `whole`: the
    timeout it came from, for a request that is sent again; `begun`: whether a first hop has been sent."""

    __slots__ = ("begun", "deadline", "stream", "whole")

    def __init__(self, stream: bool, deadline: float, whole: WholeTimeout) -> None:
        self.stream: bool = stream
        self.deadline: float = deadline
        self.whole: WholeTimeout = whole
        self.begun: bool = False


def whole_timeout(binding: Binding, timeout: Any) -> WholeTimeout:
    """A number or None is the whole call's; with the family's `Timeout`, tuples and "not given" that is the policy's matter.

    Raises TypeError for anything else, the other family's Timeout included, ValueError for a number that is no time.
    """
    if timeout is None:
        return _NONE
    if timeout is POLICYS or timeout is binding.not_given:
        return POLICYS
    if isinstance(timeout, binding.Timeout | tuple):
        return POLICYS
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        kind = type(timeout)
        raise TypeError(
            f"timeout takes seconds, None or {binding.name}.Timeout, got {kind.__module__}.{kind.__name__}"
        )
    if not timeout >= 0:
        raise ValueError(f"timeout must be a number of seconds from 0 up, got {timeout!r}")
    return WholeTimeout(float(timeout))
