"""What a type looks like in words, and how values are shown."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from meshlib.core.expected import alternatives, expected, metas, shown
from meshlib.core.options import Options, Seconds


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (bool, "true or false"),
        (Any, "any value"),
        (bytes, "a value of another kind"),
        (Annotated[int, Meta(ge=1, le=1_000)], "a whole number from 1 to 1,000"),
        (Annotated[float, Meta(gt=0, lt=0.5)], "a number above 0 below 0.5"),
        (Annotated[float, Meta(gt=0, le=1)], "a number above 0 up to 1"),
        (
            Annotated[Annotated[float, Meta(ge=2)] | None, Meta(description="why")],
            "a number from 2, or false",
        ),
        (
            Seconds | Literal["auto"],
            'seconds (a number from 0 to 1,000,000,000, or text such as "250ms"), or "auto"',
        ),
        (Options | Literal[False] | None, "a table, or false"),
        (tuple[str, ...], "a list of text"),
        (Mapping[str, str], "a table of text"),
        (Mapping[str, Any], "a table"),
    ],
)
def test_words(kind: Any, words: str) -> None:
    """Types and bounds become a phrase that completes "expected ..."."""
    assert expected(kind) == words


def test_members_and_notes() -> None:
    """Members of an annotated union are found, and every Meta on it, the outermost first."""
    kind = Annotated[Seconds | None, Meta(description="why")]
    assert alternatives(kind) == [Seconds, type(None)]
    assert metas(kind)[0].description == "why"
    assert metas(kind)[1].extra == {"unit": "s"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("a", "'a'"),
        ("https://u:s3cret@h/x?token=s3cret", "'https://h/x'"),
        (1.5, "1.5"),
        (10**400, "a number of 1329 bits"),
        ({}, "a table of 0 keys"),
        ({"a": 1}, "a table of 1 key"),
        ([1, 2], "a list of 2"),
        (b"x", "a value of type bytes"),
        (object(), "a value of type object"),
    ],
)
def test_shows(value: object, text: str) -> None:
    """Values are shown as documents write them, without their secrets."""
    assert shown(value) == text


def test_shows_briefly() -> None:
    """However long a text is, an error stays readable."""
    assert len(shown("x" * 10_000)) < 100
