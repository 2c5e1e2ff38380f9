"""The commands by name. A new one is a module with `add(subparsers)` and one line here; it is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMMANDS"]

COMMANDS: Mapping[str, str] = {
    "demo": "meshlib.cli.demo.command",
    "resolve": "meshlib.cli.resolve",
    "call": "meshlib.cli.call",
    "explain": "meshlib.cli.explain",
    "doctor": "meshlib.cli.doctor.command",
    "ca": "meshlib.cli.ca.command",
}
