"""Runs a tutorial as its reader would: the marked fences of a page, in order, in one directory.

    <!-- file: NAME -->             the fence is saved under that name
    <!-- start: NAME -->            the fence is a command that goes on running, in a terminal of its own
    <!-- run -->                    the fence is a shell command; it must succeed
    <!-- run: fails -->             it must not
    <!-- run: stop NAME after 2 s --> meanwhile, the reader presses Ctrl-C in that terminal
    <!-- again: NAME -->            the reader starts it once more; marks a sentence
    <!-- prints -->                 the fence's lines begin lines of what the last command printed; numbers may differ,
                                    and `...` stands for anything

The ports 8001 and 8002 of the page are replaced by free ones.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

STEP = re.compile(
    r"^<!-- (file|start|run|prints|again)(?:: (.+?))? -->\n(?:```\w+\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
)
PORTS = ("8001", "8002")


class Step(NamedTuple):
    """One marked fence."""

    kind: str
    argument: str
    text: str
    line: int


def steps(page: str) -> Iterator[Step]:
    """The marked fences of a page that has any `start` (a tutorial), in order."""
    if "<!-- start: " in page:
        for found in STEP.finditer(page):
            yield Step(found[1], found[2] or "", found[3] or "", page.count("\n", 0, found.start()) + 1)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        return [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)
        ]


class Reader:
    """Somebody at three terminals; a context manager that ends what is still running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        self._ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self._commands: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}
        tools = folder / ".tools"
        tools.mkdir()
        for name, arguments in (("python", ""), ("meshlib", " -m meshlib")):
            program = tools / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
            program.chmod(0o755)
        path = os.pathsep.join([str(tools), os.environ.get("PATH", "")])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MESHLIB_")}
        self._environment = {**kept, "PATH": path, "PYTHONUNBUFFERED": "1"}

    def do(self, step: Step) -> None:
        """Carry out one step; AssertionError when it does not do what the page says."""
        text = self._placed(step.text)
        if step.kind == "file":
            (self.folder / step.argument).write_text(text)
        elif step.kind == "start":
            self._commands[step.argument] = text
            self._start(step.argument)
        elif step.kind == "again":
            self._start(step.argument)
        elif step.kind == "run":
            self._run(text, step.argument)
        else:
            for line in text.splitlines():
                assert re.search(_pattern(line), self.printed, re.MULTILINE), (
                    f"{line!r} not in:\n{self.printed}"
                )

    def _placed(self, text: str) -> str:
        for written, port in self._ports.items():
            text = text.replace(written, port)
        return text

    def _start(self, name: str) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self._commands[name]}"],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running[name] = process
        assert process.stdout is not None
        assert process.stdout.readline(), f"{name} ended before it listened"

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    def _run(self, command: str, argument: str) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-euc", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            if meanwhile := re.fullmatch(r"stop (\w+) after (\d+) s", argument):
                time.sleep(float(meanwhile[2]))
                self._stop(meanwhile[1])
            self.printed, _ = process.communicate(timeout=40)
        finally:
            process.kill()
            process.wait()
        assert (process.returncode == 0) is (argument != "fails"), self.printed

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.communicate()


def _pattern(line: str) -> str:
    """The line at the beginning of one; any number in place of each of its own, any text for `...`, any room between words."""
    words = [
        re.sub(r"\d+", r"\\d+", re.escape(word)).replace(re.escape("..."), ".*") for word in line.split()
    ]
    return r"^\s*" + r"\s+".join(words)
