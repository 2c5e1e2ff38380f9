"""`with deadline(...)`."""

import pytest

from meshlib.core.deadline import AMBIENT, NEVER
from meshlib.runtime import ambient
from meshlib.runtime.ambient import deadline


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still."""
    monkeypatch.setattr(ambient, "monotonic", lambda: 100.0)


def test_nested_deadlines_take_the_minimum(now):
    """An inner, longer deadline does not outlast the outer one, and leaving restores it."""
    with deadline(2.0):
        assert deadline.remaining() == 2.0
        with deadline(5.0):
            assert deadline.remaining() == 2.0
        with deadline(0.5):
            assert deadline.remaining() == 0.5
        assert deadline.remaining() == 2.0
    assert AMBIENT.get() == NEVER
    assert deadline.remaining() is None


def test_none_shields(now):
    """`deadline(None)` is for work that must outlive its request."""
    with deadline(1.0), deadline(None):
        assert deadline.remaining() is None


@pytest.mark.asyncio
async def test_works_in_async_code(now):
    """The same object is an async context manager."""
    async with deadline(3.0):
        assert deadline.remaining() == 3.0
    assert deadline.remaining() is None


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_refuses_what_is_no_duration(seconds):
    """Negative and NaN are refused with the value."""
    with pytest.raises(ValueError, match="seconds from 0 up"):
        deadline(seconds)


def test_leaving_twice_is_harmless(now):
    """An exit without an enter resets nothing."""
    with deadline(3.0):
        deadline(1.0).__exit__(None, None, None)
        assert deadline.remaining() == 3.0
