"""Locate: the line of a key path in the text of a document. Best effort, and asked only when there is
something to report.

The parsers of the standard library throw positions away. This walks the text once with a tokenizer that TOML
and JSON share (YAML: by indentation) and remembers where each key stood; of a path that it does not find, the
longest known beginning counts. It trusts that the text has parsed already and never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from json import loads
from re import DOTALL, VERBOSE, compile
from typing import Literal

__all__ = ["Format", "Path", "lines", "path_text"]

Format = Literal["toml", "json", "yaml"]
Path = tuple[str | int, ...]
"""Keys, and indexes of lists."""

_TOKEN = compile(
    r'''(?P<string>"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    |(?P<skip>\#[^\n]*|[^\S\n]+)
    |(?P<mark>[\n\[\]{},=:.])
    |(?P<word>[^\s\[\]{},=:."'#]+|.)''',
    DOTALL | VERBOSE,
)
_BARE = compile(r"[A-Za-z0-9_-]+")
_YAML_KEY = compile(r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#'"\[{&*!|>][^#]*?)\s*:(?:\s+(.*))?$""")


def path_text(path: Path) -> str:
    """A path as a person writes it: `services."orders:80".routes[0].match`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        shown = part if _BARE.fullmatch(part) else f'"{part[:80]}"'
        text += f".{shown}" if text else shown
    return text


def lines(text: str, format: Format) -> Callable[[Path], int | None]:
    """A function from key path to line number (1 is the first), None when not even the first key is found."""
    found: dict[Path, int] = {}
    scan = {"toml": _toml, "json": _json, "yaml": _yaml}[format]
    try:
        scan(text, found)
    except (StopIteration, RecursionError, ValueError):
        pass  # what was found so far is better than nothing, and nothing is no harm

    def line(path: Path) -> int | None:
        for end in range(len(path), 0, -1):
            number = found.get(path[:end])
            if number is not None:
                return number
        return None

    return line


class _Tokens:
    """The tokens of a text, one ahead; StopIteration past the end."""

    def __init__(self, text: str) -> None:
        self.line = 1
        self._rest = self._read(text)
        self.kind, self.text = "mark", "\n"

    def _read(self, text: str) -> Iterator[tuple[str, str, int]]:
        line = 1
        for match in _TOKEN.finditer(text):
            if match.lastgroup != "skip":
                yield str(match.lastgroup), match[0], line
            line += match[0].count("\n")

    def next(self) -> None:
        """Go on to the next token."""
        self.kind, self.text, self.line = next(self._rest)

    def past_newlines(self) -> None:
        """Go on to the next token that is not the end of a line."""
        while self.kind == "mark" and self.text == "\n":
            self.next()

    def is_mark(self, marks: str) -> bool:
        """Whether the present token is one of these marks."""
        return self.kind == "mark" and self.text in marks

    def keys(self, end: str) -> list[str]:
        """A dotted key up to one of the marks `end`."""
        found = []
        while not self.is_mark(end):
            if self.kind == "string":
                found.append(loads(self.text) if self.text[0] == '"' else self.text[1:-1])
            elif self.kind == "word":
                found.append(self.text)
            self.next()
        return found


def _json(text: str, found: dict[Path, int]) -> None:
    tokens = _Tokens(text)
    tokens.past_newlines()
    _value(tokens, (), found)


def _toml(text: str, found: dict[Path, int]) -> None:
    tokens = _Tokens(text + "\n")
    counts: dict[Path, int] = {}
    base: Path = ()
    while True:
        tokens.past_newlines()
        line = tokens.line
        if tokens.is_mark("["):
            tokens.next()
            many = tokens.is_mark("[")
            base = _header(tokens.keys("]"), many, counts)
            found.setdefault(base, line)
            while not tokens.is_mark("\n"):
                tokens.next()
            continue
        path = base
        for key in tokens.keys("="):
            path = (*path, key)
            found.setdefault(path, line)
        tokens.next()
        _value(tokens, path, found)


def _header(keys: list[str], many: bool, counts: dict[Path, int]) -> Path:
    """The path of `[a.b]` or `[[a.b]]`: a list of tables on the way stands for its latest one."""
    path: Path = ()
    for position, key in enumerate(keys, start=1):
        path = (*path, key)
        if many and position == len(keys):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _value(tokens: _Tokens, path: Path, found: dict[Path, int]) -> None:
    """Note the keys of a value and stop at the token after it."""
    if tokens.is_mark("{["):
        table = tokens.text == "{"
        tokens.next()
        index = 0
        while True:
            while tokens.is_mark("\n,"):
                tokens.next()
            if tokens.is_mark("}]"):
                tokens.next()
                return
            inner: Path = (*path, index)
            line = tokens.line
            if table:
                inner = path
                for key in tokens.keys("=:"):
                    inner = (*inner, key)
                    found.setdefault(inner, line)
                tokens.next()
                tokens.past_newlines()
            found.setdefault(inner, line)
            _value(tokens, inner, found)
            index += 1
    while not tokens.is_mark("\n,]}"):
        tokens.next()


def _yaml(text: str, found: dict[Path, int]) -> None:
    stack: list[tuple[int, Path, bool]] = []  # indentation, path, whether it is an item of a list
    counts: dict[Path, int] = {}
    block = -1  # indentation of a key whose value is a block of text
    for number, line in enumerate(text.splitlines(), start=1):
        rest = line.lstrip(" ")
        indent = len(line) - len(rest)
        if not rest or rest.startswith("#") or (0 <= block < indent):
            continue
        block = -1
        while rest == "-" or rest.startswith("- "):
            while stack and (stack[-1][0] > indent or (stack[-1][0] == indent and stack[-1][2])):
                stack.pop()
            parent = stack[-1][1] if stack else ()
            counts[parent] = counts.get(parent, -1) + 1
            path: Path = (*parent, counts[parent])
            found.setdefault(path, number)
            stack.append((indent, path, True))
            item = rest[1:].lstrip(" ")
            indent += len(rest) - len(item)
            rest = item
        match = _YAML_KEY.match(rest)
        if match is None:
            continue
        while stack and stack[-1][0] >= indent:
            stack.pop()
        key = match[1]
        key = loads(key) if key[0] == '"' else key.strip("'")
        path = (*(stack[-1][1] if stack else ()), key)
        found.setdefault(path, number)
        stack.append((indent, path, False))
        if (match[2] or "")[:1] in ("|", ">") and match[2]:
            block = indent
