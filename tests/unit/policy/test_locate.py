"""Key paths to lines, best effort: right where the text is ordinary, silent where it is not."""

from typing import Any

import pytest

from meshlib.policy.locate import lines, path_text


def test_toml_lines() -> None:
    """Headers, lists of tables, dotted and quoted keys, inline tables, multi-line strings and comments."""
    line = lines(
        '''# a comment with [brackets] = "and quotes"
a.b = 1
text = """
[not.a.header]
key = 1
"""
[t."x.y".'z']  # comment
k = {p = [1, {q = 2}], 'r' = "}"}
[[list]]
n = 1
[list.sub]
m = "\\u0061 # no comment"
[[list]]
n = [
  "a",   # ]
  [1.5, 2020-01-01T07:32:00],
]
[["u\\u0061"]]
last = true''',
        "toml",
    )
    for path, number in [
        (("a",), 2),
        (("a", "b"), 2),
        (("text",), 3),
        (("t", "x.y", "z"), 7),
        (("t", "x.y", "z", "k", "p", 1, "q"), 8),
        (("t", "x.y", "z", "k", "r"), 8),
        (("list", 0), 9),
        (("list", 0, "sub", "m"), 12),
        (("list", 1), 13),
        (("list", 1, "n", 0), 15),
        (("list", 1, "n", 1), 16),
        (("list", 1, "n", 1, 1), 16),
        (("ua", 0, "last"), 19),
        (("a", "nobody"), 2),
        (("nobody",), None),
        ((), None),
    ]:
        assert line(path) == number, path


def test_json_lines() -> None:
    """Objects and arrays in any layout, brackets and quotes inside strings."""
    line = lines('\n{"a":\n {"b": [1,\n {"c": "]}\\""}]},\n"d"\n:\n2, "e.f": []}', "json")
    assert [line(path) for path in [("a",), ("a", "b", 0), ("a", "b", 1, "c"), ("d",), ("e.f",)]] == [
        2,
        3,
        4,
        5,
        7,
    ]


def test_yaml_lines() -> None:
    """Indentation, lists on the level of their key or deeper, quoted keys, and blocks of text that look like keys."""
    line = lines(
        """
a:
  b: |
    c: 1
    d: 2
  "e\\"x": {f: 1}   # flow
  'g h' :
  - x: 1
    y:
    - - deep
      - deeper
  - z: 2

  # comment: 1
  plain text
i:
    - 1
    -
      j: 3
k: >-
  folded: no
l: &anchor
  m: 1
""",
        "yaml",
    )
    for path, number in [
        (("a",), 2),
        (("a", "b"), 3),
        (("a", "b", "c"), 3),
        (("a", 'e"x'), 6),
        (("a", 'e"x', "f"), 6),
        (("a", "g h"), 7),
        (("a", "g h", 0, "x"), 8),
        (("a", "g h", 0, "y", 0, 1), 11),
        (("a", "g h", 1, "z"), 12),
        (("i", 0), 17),
        (("i", 1, "j"), 19),
        (("k",), 20),
        (("k", "folded"), 20),
        (("l", "m"), 23),
    ]:
        assert line(path) == number, path


@pytest.mark.parametrize("format", ["toml", "json", "yaml"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": [',
        "[[",
        "a = {",
        '"\\x": 1',
        '"\\x" = 1',
        "- - -",
        "]",
        "=",
        "}",
        "[" * 100_000,
        '"\\',
    ],
)
def test_never_raises(format: Any, text: str) -> None:
    """Text that would not have parsed gives no lines, or some, but no error."""
    assert lines(text, format)(("nobody",)) is None


def test_paths_as_text() -> None:
    """Bare keys with dots, other keys quoted, indexes in brackets."""
    assert (
        path_text(("services", "orders:80", "routes", 0, "match")) == 'services."orders:80".routes[0].match'
    )
    assert path_text(("a.b", 1)) == '"a.b"[1]'
    assert path_text(()) == ""
