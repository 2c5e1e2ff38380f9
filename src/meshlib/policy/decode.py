"""Decode: the bytes of a document to plain data, the same for TOML, JSON and YAML.

A key that stands twice is refused in all three (JSON and YAML parsers would silently keep the last one), and
whatever the text is, a ConfigError is the only thing raised.
"""

from __future__ import annotations

import json
import tomllib
from re import compile
from typing import TYPE_CHECKING, Any

from meshlib.errors import ConfigError
from meshlib.policy.locate import Format

if TYPE_CHECKING:
    import yaml

__all__ = ["decode"]

# YAML 1.2's core schema (chapter 10.3). PyYAML resolves by YAML 1.1, where the key `on` of `retry` is a
# boolean and 1:30 is 90.
_CORE_SCHEMA = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)


def decode(text: bytes, format: Format, source: str) -> Any:
    """The data of a document, still unchecked. ConfigError names the source and, where known, the line."""
    try:
        read = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigError(f"{source}:{line}: a document is UTF-8, byte {error.start} is not") from None
    reader = {"toml": _toml, "json": _json, "yaml": _yaml}[format]
    try:
        return reader(read, source)
    except RecursionError:
        raise ConfigError(f"{source}: is nested too deeply") from None


def _toml(text: str, source: str) -> Any:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and Python's own limit on the digits of a number
        raise ConfigError(f"{source}: is not valid TOML: {error}") from None


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{source}:{error.lineno}: is not valid JSON: {error.msg}") from None
    except ValueError as error:
        raise ConfigError(f"{source}: is not valid JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found


def _yaml(text: str, source: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            f"{source}: reading YAML needs PyYAML: pip install 'meshlib-client[yaml]', or write TOML or JSON"
        ) from None
    try:
        return yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        # The mark's own text quotes the line, which may hold a secret.
        line = f":{error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ConfigError(f"{source}{line}: is not valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{source}: is not valid YAML: {error.reason}") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise ConfigError(f"{source}: is not valid YAML: {error}") from None


def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2's plain values, and no key twice."""

        yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
                if name is not None and name in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value[:80]!r} stands twice", key.start_mark
                    )
                seen.add(name)
            return super().construct_mapping(node, deep)

    for tag, pattern, first in _CORE_SCHEMA:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", compile(rf"(?:{pattern})\Z"), list(first))
    return Loader
