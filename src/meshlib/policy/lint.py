"""Lint: what a valid document says that this version would not do. A mesh refuses it: half a policy is worse than none."""

from __future__ import annotations

from collections.abc import Iterator

from meshlib.policy.locate import Path
from meshlib.policy.parse import refuse
from meshlib.policy.spec import Document, Layer, ServiceTable

__all__ = ["refuse_unsupported", "unsupported"]

_WIRES = ("auto", "lean", "httpx")

_NOT_YET = {
    "hedge": "hedging is not supported by this version: remove the group or write false",
}


def unsupported(document: Document) -> list[tuple[Path, str]]:
    """The keys that are understood but not implemented by this version, each with what to do instead."""
    return list(_found(document))


def refuse_unsupported(document: Document, source: str) -> None:
    """ConfigError with every such key, for whoever is about to act on the document."""
    refuse(unsupported(document), source)


def _found(document: Document) -> Iterator[tuple[Path, str]]:
    yield from _table(document.defaults, ("defaults",))
    for key, table in document.services.items():
        yield from _table(table, ("services", key))


def _table(table: ServiceTable, path: Path) -> Iterator[tuple[Path, str]]:
    yield from _layer(table.layer, path)
    for index, route in enumerate(table.routes):
        yield from _layer(route.layer, (*path, "routes", index))


def _layer(layer: Layer, path: Path) -> Iterator[tuple[Path, str]]:
    for key, text in _NOT_YET.items():
        if layer.get(key, False) is not False:
            yield (*path, key), text
    wire = layer.get("wire", "auto")
    if wire not in _WIRES:
        yield (*path, "wire"), f'unknown wire {wire!r}: known are "auto", "lean" and "httpx"'
