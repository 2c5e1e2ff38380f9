"""What `timeout=` means."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.transport.binding import Binding
from meshlib.transport.families import family
from meshlib.transport.options import POLICYS, whole_timeout


def test_numbers_are_for_the_whole_call(binding: Binding) -> None:
    """From now on; None is for ever."""
    assert whole_timeout(binding, 2).deadline(100.0) == 102.0
    assert whole_timeout(binding, 0).deadline(100.0) == 100.0
    assert whole_timeout(binding, None).deadline(100.0) == float("inf")


def test_the_familys_own_forms_leave_it_to_policy(http: Any, binding: Binding) -> None:
    """A deadline of 0 is the policy's; said nowhere, too."""
    for given in (http.Timeout(3), (1, 2, 3, 4), http.USE_CLIENT_DEFAULT, POLICYS):
        assert whole_timeout(binding, given) is POLICYS
    assert POLICYS.deadline(100.0) == 0.0


@pytest.mark.parametrize("wrong", [True, "1", [1], b"1"])
def test_other_types_are_refused(binding: Binding, wrong: Any) -> None:
    """They must not mean "no timeout"."""
    with pytest.raises(TypeError, match=type(wrong).__name__):
        whole_timeout(binding, wrong)


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_numbers_that_are_no_time_are_refused(binding: Binding, wrong: float) -> None:
    """Negative, or not a number."""
    with pytest.raises(ValueError, match="from 0 up"):
        whole_timeout(binding, wrong)


def test_the_other_familys_timeout_is_refused() -> None:
    """By its full name."""
    httpx, httpx2 = pytest.importorskip("httpx"), pytest.importorskip("httpx2")
    for own, other in ((httpx, httpx2), (httpx2, httpx)):
        with pytest.raises(TypeError, match=f"{own.__name__}.Timeout, got {other.__name__}.Timeout"):
            whole_timeout(family(own.__name__).BINDING, other.Timeout(3))
