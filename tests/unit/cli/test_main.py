"""The entry point: exit statuses, and what is said on standard error."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib import __version__
from meshlib.cli import main as module
from meshlib.cli.commands import COMMANDS
from meshlib.cli.main import main
from meshlib.errors import ConfigError, NoEndpointError


def command(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
    """Replaces all commands by one named `try` that returns or raises `outcome`."""

    def run(options: argparse.Namespace) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return int(outcome)

    def add(commands: Any) -> None:
        commands.add_parser("try").set_defaults(run=run)

    monkeypatch.setattr(module, "COMMANDS", {"try": "somewhere"})
    monkeypatch.setattr(module, "import_module", lambda name: SimpleNamespace(add=add))


@pytest.mark.parametrize("status", [0, 1])
def test_status_of_the_command(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A command's status is the program's."""
    command(monkeypatch, status)
    assert main(["try"]) == status


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("a.toml:1: one\na.toml:2: two"), 2, "meshlib: a.toml:1: one\nmeshlib: a.toml:2: two\n"),
        (NoEndpointError("nothing there"), 1, "meshlib: nothing there\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    said: str,
) -> None:
    """Errors of ours are told line by line without a traceback."""
    command(monkeypatch, error)
    assert main(["try"]) == status
    assert capsys.readouterr().err == said


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else keeps its traceback."""
    command(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["try"])


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["resolve"], ["demo", "--seconds", "0"]])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """2, and the usage."""
    assert main(arguments) == 2
    assert "usage: meshlib" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """--help ends well and knows them all."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version is the package's."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"meshlib {__version__}\n"
