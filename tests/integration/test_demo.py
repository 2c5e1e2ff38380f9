"""The main job: `meshlib demo` loses nothing, and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.name == "nt", reason="signals and process groups differ there"),
    pytest.mark.timeout(90),
]


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A demo whose temporary files lie below `folder`."""
    command = [sys.executable, "-m", "meshlib", "demo", "--no-tui", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    )


def children(pid: int) -> set[int]:
    """The process's children; empty where /proc does not tell."""
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def ended(pids: set[int]) -> bool:
    """Whether they all end, within some seconds."""
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Its output up to the line that holds `text`."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"ended without {text!r}: {seen}{process.stderr and process.stderr.read()}")


def test_main_job(tmp_path: Path) -> None:
    """Slow, kill, add, restore: no idempotent request is lost, where plain httpx loses some; nothing is left."""
    began = time.monotonic()
    with demo(tmp_path, "--seconds", "6", "--seed", "1") as process:
        wait_for(process, "--- healthy")
        assert time.monotonic() - began < 5.0  # the load has started
        servers = children(process.pid)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert err == ""
    assert "meshlib lost no idempotent request." in out
    mine, plain = re.search(r"lost idempotent requests\s+(\d+)\s+(\d+)", out).groups()  # type: ignore[union-attr]
    assert int(mine) == 0
    assert int(plain) > 0
    for label in ("success rate", "p50", "p99", "p99.9"):
        assert label in out
    for phase in ("one slow", "one killed", "one added", "all back"):
        assert f"--- {phase}" in out
    assert ended(servers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["starting", "--- one killed"])
def test_interrupted(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    """Ctrl-C at any time: 130, the table so far, no process and no folder left."""
    with demo(tmp_path, "--seconds", "5") as process:
        wait_for(process, moment)
        time.sleep(0.05)
        servers = children(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert ("broken off" in out) == (moment != "starting")
    assert ended(servers)
    assert list(tmp_path.iterdir()) == []


def test_killed(tmp_path: Path) -> None:
    """Not even SIGKILL leaves a server behind: each notices that its parent is gone."""
    with demo(tmp_path, "--seconds", "10") as process:
        wait_for(process, "--- healthy")
        servers = children(process.pid)
        process.kill()
    assert ended(servers)
