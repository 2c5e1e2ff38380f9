"""`meshlib`: the entry point of the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from meshlib import __version__
from meshlib.cli.commands import COMMANDS
from meshlib.errors import ConfigError, MeshError

__all__ = ["main"]

_OK, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 well, 1 failed, 2 wrong usage or configuration, 130 interrupted.

    What is wrong is said on standard error, without a traceback. `argv` is without the program's name.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = _parser(arguments).parse_args(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # argparse's: 0 after --help, 2 after wrong usage
        return end.code if isinstance(end.code, int) else _USAGE
    except ConfigError as error:
        return _say(str(error), _USAGE)
    except MeshError as error:
        return _say(str(error), _FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough (`meshlib resolve ... | head -1`). Nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """With all commands, or with the one that is asked for: the others need not be imported."""
    parser = argparse.ArgumentParser(prog="meshlib", description="A service mesh without the sidecar.")
    parser.add_argument("--version", action="version", version=f"meshlib {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    asked = arguments[0] if arguments else ""
    for name, module in COMMANDS.items():
        if asked == name or asked not in COMMANDS:
            import_module(module).add(commands)
    return parser


def _say(text: str, status: int) -> int:
    sys.stderr.write("".join(f"meshlib: {line}\n" for line in text.splitlines() or ["failed"]))
    return status
