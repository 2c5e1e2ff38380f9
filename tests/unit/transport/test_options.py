"""What `timeout=` means."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from meshlib.transport.options import POLICYS, whole_timeout


def test_numbers_are_for_the_whole_call() -> None:
    """From now on; None is for ever."""
    assert whole_timeout(2).deadline(100.0) == 102.0
    assert whole_timeout(0).deadline(100.0) == 100.0
    assert whole_timeout(None).deadline(100.0) == float("inf")


@pytest.mark.parametrize("given", [httpx.Timeout(3), (1, 2, 3, 4), httpx.USE_CLIENT_DEFAULT])
def test_httpx_own_forms_leave_it_to_policy(given: Any) -> None:
    """A deadline of 0 is the policy's."""
    assert whole_timeout(given) is POLICYS
    assert POLICYS.deadline(100.0) == 0.0


@pytest.mark.parametrize("wrong", [True, "1", [1], b"1"])
def test_other_types_are_refused(wrong: Any) -> None:
    """They must not mean "no timeout"."""
    with pytest.raises(TypeError, match=type(wrong).__name__):
        whole_timeout(wrong)


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_numbers_that_are_no_time_are_refused(wrong: float) -> None:
    """Negative, or not a number."""
    with pytest.raises(ValueError, match="from 0 up"):
        whole_timeout(wrong)
