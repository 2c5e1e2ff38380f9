"""Options: converted, bounded, and every problem at once."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
from msgspec import Meta

from meshlib.core.options import Options, Problem, Seconds, Span, check, construct, missing, seconds
from meshlib.errors import ConfigError


class Inner(Options, frozen=True, kw_only=True):
    """A group inside a group."""

    name: str
    size: int = 1


class Outer(Options, frozen=True, kw_only=True):
    """A group of every kind of field."""

    group: ClassVar[str] = "outer"

    wait: Seconds = 1.0
    span: Span = 1.0
    limit: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="why")] = None
    inner: Inner | Literal[False] = False
    flag: bool = False

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        return [(("wait",), "must be under limit")] if values.get("wait") == 9.0 else []


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 0.25), ("2s", 2.0), ("1m", 60.0), ("1h", 3600.0), ("5us", 5e-6), (" 3 s ", 3.0), ("s", "s"), ("2", "2"), (3, 3)],
)  # fmt: skip
def test_reads_durations(text: object, value: object) -> None:
    """Durations with a unit become seconds; anything else is left for the type check."""
    assert seconds(text) == (pytest.approx(value) if isinstance(value, float) else value)


def test_converts_when_built() -> None:
    """A group built in code takes what a document may hold."""
    outer = Outer(wait="250ms", limit=False, inner={"name": "x"})
    assert outer == Outer(wait=0.25, limit=None, inner=Inner(name="x", size=1))
    assert isinstance(Outer(wait=2).wait, float)


def test_all_problems_at_once() -> None:
    """Every wrong field is reported with its path, in one error."""
    with pytest.raises(ConfigError) as caught:
        Outer(wait=-1, span="0ms", flag="yes", inner={"size": "x"})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "outer.wait",
        "outer.span",
        "outer.inner.size",
        "outer.inner.name",
        "outer.flag",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, True, None, [], {}, "nans", object()])
def test_refuses_what_is_no_duration(value: object) -> None:
    """NaN, infinity, booleans and huge numbers are no durations."""
    assert [path for path, _ in check(Outer, {"wait": value})] == [("wait",)]


def test_unknown_keys() -> None:
    """A key that nobody knows is answered with the known ones and the nearest."""
    [(path, text)] = check(Outer, {"wiat": 1})
    assert path == ("wiat",)
    assert text == "unknown key 'wiat': known are flag, inner, limit, span, wait; did you mean 'wait'?"
    assert "did you mean" not in check(Outer, {"zzz": 1})[0][1]
    assert "unknown key 5" in check(Outer, {5: 1})[0][1]


def test_groups_inside() -> None:
    """`true` is a group's defaults, if it has all; `false` is what the type says it is."""
    assert construct(Outer, {"inner": True})[1] == [(("inner", "name"), "is missing: expected text")]
    assert construct(Outer, {"inner": False}) == ({"inner": False}, [])
    assert missing(Inner, {"name": "x"}) == []


def test_conflicts_are_reported() -> None:
    """What a type cannot say is said by the group itself."""
    assert check(Outer, {"wait": 9}) == [(("wait",), "must be under limit")]
