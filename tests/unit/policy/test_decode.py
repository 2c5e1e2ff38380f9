"""Bytes to data: strict about duplicates, YAML without surprises, every failure a ConfigError."""

import builtins
from typing import Any

import pytest

from meshlib.errors import ConfigError
from meshlib.policy.decode import decode


@pytest.mark.parametrize(
    ("format", "text", "says"),
    [
        ("toml", b"a = 1\na = 2\n", "x: is not valid TOML"),
        ("toml", b"a = \n", "line 1"),
        ("toml", b"a = " + b"9" * 5000, "x: is not valid TOML"),
        ("toml", b"a = " + b"[" * 20_000, "x"),
        ("json", b'{"a": 1,\n "b": 2, "a": 3}', "the key 'a' stands twice"),
        ("json", b'{"a":\n}', "x:2: is not valid JSON: Expecting value"),
        ("json", b"9" * 5000, "x: is not valid JSON"),
        ("json", b"[" * 200_000, "x: is nested too deeply"),
        ("yaml", b"a: 1\nb: 2\na: 3\n", "x:3: is not valid YAML: the key 'a' stands twice"),
        ("yaml", b"a: [s3cret\n", "is not valid YAML"),
        ("yaml", b"a: 1\n---\nb: 2\n", "is not valid YAML"),
        (
            "yaml",
            b"a: !!python/object:os.system s3cret\n",
            "x:1: is not valid YAML: could not determine a constructor",
        ),
        ("yaml", b"? [a, b]\n: 1\n", "unhashable key"),
        ("yaml", b"a: \x07", "special characters are not allowed"),
        ("yaml", b"a: " + b"9" * 5000, "x: is not valid YAML"),
        ("yaml", b"[" * 20_000, "x: is nested too deeply"),
        ("yaml", b"a: *nowhere\n", "x:1: is not valid YAML: found undefined alias"),
        ("yaml", b"!!int {}\n", "is not valid YAML"),
        ("yaml", b"!!map []\n", "x:1: is not valid YAML"),
        ("toml", b"a = 1\nb = '\xff'", "x:2: a document is UTF-8, byte 11 is not"),
    ],
)
def test_refuses(format: Any, text: bytes, says: str) -> None:
    """Broken text is a ConfigError with the source and what is known of the place, never the line itself."""
    with pytest.raises(ConfigError) as caught:
        decode(text, format, "x")
    assert says in str(caught.value)
    assert str(caught.value).startswith("x:")
    assert "s3cret" not in str(caught.value)


def test_yaml_is_version_1_2() -> None:
    """`on` is a key, `no` a text, 1:30 no number, 010 not octal; anchors and merge keys work."""
    text = b"""
retry: &retry {on: [503, "x"], attempts: 3}
answer: no
time: 1:30
date: 2020-01-01
octal: 0o10
ten: 010
flag: true
none: ~
empty:
small: 1e-3
big: .inf
copy: {<<: *retry, attempts: 4}
"""
    assert decode(text, "yaml", "x") == {
        "retry": {"on": [503, "x"], "attempts": 3},
        "answer": "no",
        "time": "1:30",
        "date": "2020-01-01",
        "octal": 8,
        "ten": 10.0,
        "flag": True,
        "none": None,
        "empty": None,
        "small": 0.001,
        "big": float("inf"),
        "copy": {"on": [503, "x"], "attempts": 4},
    }


def test_other_formats() -> None:
    """TOML and JSON, with and without a byte order mark."""
    assert decode(b"\xef\xbb\xbfa = 1", "toml", "x") == {"a": 1}
    assert decode(b'\xef\xbb\xbf{"a": {"b": 1, "c": 2}}', "json", "x") == {"a": {"b": 1, "c": 2}}


def test_yaml_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyYAML the error names the extra to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"meshlib-client\[yaml\]"):
        decode(b"a: 1", "yaml", "x")
