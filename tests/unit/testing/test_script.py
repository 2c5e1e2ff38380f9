"""Script and the answers in it."""

import pytest

from meshlib.testing.script import HANG, Script, after, yielded


def test_last_answer_stays() -> None:
    """Answers come in order, and the last one for ever."""
    script = Script([1, 2])
    assert [script.take() for _ in range(4)] == [1, 2, 2, 2]


def test_empty_script_is_refused() -> None:
    """A script without answers is a mistake that should not wait for its first question."""
    with pytest.raises(ValueError, match="at least one answer"):
        Script([])


def test_exceptions_are_raised() -> None:
    """Instances and classes alike; other classes are values."""
    with pytest.raises(OSError, match="gone"):
        yielded(OSError("gone"))
    with pytest.raises(ConnectionResetError):
        yielded(ConnectionResetError)
    assert yielded(int) is int


def test_after_shows_what_it_holds() -> None:
    """A failing test prints something readable."""
    assert repr(after(2.0, "x")) == "after(2.0, 'x')"
    assert HANG.seconds == float("inf")
