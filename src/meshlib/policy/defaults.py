"""Defaults: the one table of all options, rendered from their annotations.

python -m meshlib.policy.defaults > docs/reference/defaults.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from meshlib.core.expected import alternatives, expected, metas, shown
from meshlib.core.options import Options
from meshlib.policy.spec import GROUPS, MeshOptions, ServicePolicy
from meshlib.routing.match import Match
from meshlib.routing.split import Share, Subset

__all__ = ["Row", "render", "rows"]

_HEAD = """\
# Every option, its default and why

Rendered from the source by `python -m meshlib.policy.defaults`. Times are seconds, or text such as `"250ms"`, `"2s"`,
`"1m"`. `false` turns a group off, `true` or a table turns it on.

"""
_SECTIONS: tuple[tuple[str, str, type[Options]], ...] = (
    ("`[mesh]`", "mesh", MeshOptions),
    ("`[defaults]`, `[services.<name>]` and `Policy(...)`", "", ServicePolicy),
    ("`subsets.<name>`", "subsets.<name>", Subset),
    ("`routes[].match`", "routes[].match", Match),
    ("`routes[].split[]`", "routes[].split[]", Share),
)
_ELSEWHERE = ("subsets", "routes")


class Row(msgspec.Struct, frozen=True):
    """One option: its key path, default, unit, what is accepted, and why the default is what it is."""

    key: str
    default: str
    unit: str
    accepted: str
    reason: str


def rows(prefix: str, kind: type[Options]) -> Iterator[Row]:
    """The options of a group, those of the groups inside it right after their own."""
    for field in msgspec.structs.fields(kind):
        key = f"{prefix}.{field.name}" if prefix else field.name
        nested = _nested(field.type) if field.name not in _ELSEWHERE else None
        notes = metas(field.type)
        unit = next((str(note.extra["unit"]) for note in notes if note.extra and "unit" in note.extra), "")
        reason = next((note.description for note in notes if note.description), "")
        accepted = "tables, see below" if field.name in _ELSEWHERE else expected(field.type)
        yield Row(key, _default(field, nested), unit, accepted, reason)
        if nested is not None:
            yield from rows(key, nested)


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, prefix, kind in _SECTIONS:
        parts.append(f"## {title}\n\n| key | default | unit | accepted | reason |\n|---|---|---|---|---|\n")
        parts += [
            f"| `{row.key}` | {row.default} | {row.unit} | {row.accepted} | {row.reason} |\n".replace(
                "\\", "\\\\"
            )
            for row in rows(prefix, kind)
        ]
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def _nested(kind: Any) -> type[Options] | None:
    for one in alternatives(kind):
        bare = get_args(one)[0] if get_origin(one) is Annotated else one
        if isinstance(bare, type) and issubclass(bare, Options):
            return bare
    return None


def _default(field: msgspec.structs.FieldInfo, nested: type[Options] | None) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
    if value is msgspec.NODEFAULT:
        return "required"
    if value is None:
        return "off" if field.name in GROUPS else "none"
    if nested is not None:
        return "on" if value else "off"
    if callable(value):
        value = value()
    if isinstance(value, tuple | Mapping):
        return ", ".join(f"`{one}`" for one in value) or "empty"
    return f"`{shown(value)}`" if value != "" else "empty"


def main() -> None:
    """Write the page to standard output."""
    sys.stdout.write(render())


if __name__ == "__main__":
    main()
