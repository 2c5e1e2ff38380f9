"""The endpoints document: `endpoints = [{address = "10.0.0.1:8080", zone, weight, priority, labels}]`, TOML or JSON."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from ipaddress import IPv6Address
from re import ASCII, compile
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from meshlib.core.endpoint import NO_LABELS, Endpoint
from meshlib.core.options import Options, construct
from meshlib.errors import ConfigError

__all__ = ["Entry", "parse_endpoints"]

_ADDRESS = compile(r"(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\])(?::([0-9]{1,5}))?", ASCII)
_STEP = 16  # entries between two places where the work may pause: some 0.05 ms
_SHOWN = 20  # problems spelled out in an error's text; its `problems` hold them all


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint as the document writes it. The bounds are those of `core.Endpoint`."""

    address: Annotated[str, Meta(min_length=1, description="host, host:port or [ipv6]:port")]
    zone: str = ""
    weight: Annotated[float, Meta(ge=0, lt=1e9)] = 100.0
    priority: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class _Checked(Options, frozen=True, kw_only=True):
    """The same fields for the slow path, which finds every problem at once."""

    group: ClassVar[str] = "endpoints"
    address: Annotated[str, Meta(min_length=1)]
    zone: str = ""
    weight: Annotated[float, Meta(ge=0, lt=1e9)] = 100.0
    priority: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)


_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_table = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse_endpoints(content: bytes, path: str, port: int) -> Generator[None, None, tuple[Endpoint, ...]]:
    """The endpoints of a document, `port` for those that write none; yields where the work may pause.

    ConfigError names file, key path and every problem at once. Large sets are best kept as JSON: 10,000 entries take
    some 30 ms in slices, while the standard library reads TOML in one go, for seconds.
    """
    problems: list[str] = []
    entries, read = _top(content, path, problems)
    yield
    endpoints: list[Endpoint] = []
    for number, raw in enumerate(entries):
        try:
            endpoints.append(_endpoint(read(raw), port))
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            problems += _problems(raw, f"endpoints[{number}]")
        if number % _STEP == _STEP - 1:
            yield
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ConfigError(
            f"{path}: {'; '.join(problems[:_SHOWN])}{more}", problems=[f"{path}: {one}" for one in problems]
        )
    return tuple(endpoints)


def _top(content: bytes, path: str, problems: list[str]) -> tuple[Sequence[Any], Any]:
    """The entries, and what turns one of them into an Entry."""
    as_json = path.endswith(".json") or (not path.endswith(".toml") and content.lstrip()[:1] == b"{")
    table: Mapping[str, Any]
    entries: Any
    try:
        if as_json:
            table = _decode_table(content)
            entries = _decode_list(table["endpoints"]) if "endpoints" in table else None
        else:
            import tomllib

            table = tomllib.loads(content.decode())
            entries = table.get("endpoints")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {_malformed(error, content, 'JSON' if as_json else 'TOML')}") from error
    for key in table:
        if key not in ("endpoints", "version") and not key.startswith("x-"):
            problems.append(f"unknown key {key!r}: known are endpoints, version and x-*")
    if "version" in table and _plain(table["version"]) != 1:
        problems.append("version: expected 1")
    if entries is None:
        problems.append("the key 'endpoints' is missing: write endpoints = [{address = \"10.0.0.1:8080\"}]")
    elif not isinstance(entries, list):
        problems.append("endpoints: expected a list of tables")
        entries = None
    return entries or (), _decode_entry if as_json else _convert_entry


def _convert_entry(value: Any) -> Entry:
    return msgspec.convert(value, Entry)


def _endpoint(entry: Entry, port: int) -> Endpoint:
    host, written = _address(entry.address)
    return Endpoint(
        host=host,
        port=written or port,
        zone=entry.zone,
        weight=entry.weight,
        priority=entry.priority,
        labels=entry.labels or NO_LABELS,
    )


def _address(text: str) -> tuple[str, int]:
    """Host and port (0 when none is written); ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(text)
    name, six, port = found.groups()
    number = int(port) if port else 0
    if port and not 0 < number < 65536:
        raise ValueError(text)
    return (str(IPv6Address(six)) if six else name.lower()), number


def _problems(raw: Any, where: str) -> list[str]:
    """What is wrong with one entry, everything at once."""
    value = _plain(raw)
    if not isinstance(value, dict):
        return [
            f'{where}: expected a table such as {{address = "10.0.0.1:8080"}}, got {type(value).__name__}'
        ]
    fields, found = construct(_Checked, value)
    texts = [f"{where}.{'.'.join(path)}: {text}" for path, text in found]
    if "address" not in value:
        texts.insert(0, f"{where}: the key 'address' is missing")
    elif "address" in fields:
        try:
            _address(fields["address"])
        except ValueError:
            texts.insert(
                0, f"{where}.address: expected host, host:port or [ipv6]:port, got {fields['address']!r}"
            )
    return texts or [f"{where}: makes no sense"]


def _plain(raw: Any) -> Any:
    if not isinstance(raw, msgspec.Raw):
        return raw
    try:
        return msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return None


def _malformed(error: Exception, content: bytes, kind: str) -> str:
    """The parser's words; for JSON with the line, which msgspec gives as a byte."""
    text = str(error) or type(error).__name__
    if isinstance(error, msgspec.ValidationError):
        return f"expected a table with a list 'endpoints' ({text})"
    _, found, rest = text.partition("(byte ")
    if found:
        offset = int(rest.rstrip(")"))
        text = f"{text.partition(' (byte')[0]} (line {content.count(10, 0, offset) + 1})"
    return f"is no {kind}: {text}"
