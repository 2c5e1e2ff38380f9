"""Parse: a document's data or text to a Document, or one ConfigError with every problem in it, one per line.

A line reads `meshlib.toml:7: services.orders.retry.attempts: expected a whole number from 1 to 100, got 0`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from meshlib.core.uri import redact_url
from meshlib.errors import ConfigError
from meshlib.policy.decode import decode
from meshlib.policy.locate import Format, Path, lines, path_text
from meshlib.policy.reader import Reader
from meshlib.policy.spec import Document

__all__ = ["load", "parse", "refuse"]


def parse(data: Mapping[str, Any], source: str) -> Document:
    """The document in plain `data`; `source` names it in errors. ConfigError lists every problem at once."""
    reader = Reader()
    document = _read(reader, data)
    refuse(reader.problems, source)
    return document


def load(text: bytes, format: Format, source: str) -> Document:
    """The document in a file's content. As `parse`, with the lines of the keys that are wrong."""
    source = _named(source)
    data = decode(text, format, source)
    reader = Reader()
    document = _read(reader, data)
    if reader.problems:
        refuse(reader.problems, source, lines(text.decode("utf-8-sig"), format))
    return document


def refuse(
    problems: Iterable[tuple[Path, str]], source: str, line: Callable[[Path], int | None] | None = None
) -> None:
    """Raise the ConfigError for `problems`, if there are any."""
    texts = []
    numbered = [(line(path) if line is not None else None, path, text) for path, text in problems]
    # In the order of the file, so that it can be worked through from the top.
    for number, path, text in sorted(numbered, key=lambda one: one[0] or 0):
        place = _named(source) if number is None else f"{source}:{number}"
        where = path_text(path)
        texts.append(f"{place}: {where}: {text}" if where else f"{place}: {text}")
    if texts:
        raise ConfigError("\n".join(texts), problems=texts)


def _read(reader: Reader, data: Any) -> Document:
    try:
        return reader.document(data)
    except RecursionError:
        # YAML can write a list that holds itself, and code can pass anything.
        reader.problems.append(((), "is nested too deeply"))
        return Document()


def _named(source: str) -> str:
    return redact_url(source) if "://" in source else source
